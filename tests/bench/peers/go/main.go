// The receiver's durable job in Go, for script/bench: verify the HMAC, append the delivery to a
// journal, one fdatasync for all that wait, then 200.
//
// Usage: receiver SOCKET JOURNAL KEY-FILE
package main

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"
)

const (
	maxBody = 1 << 20
	answer  = `{"status":"accepted"}` + "\n"
)

// Deliveries that are committed together. done is closed when err is final.
type batch struct {
	data []byte
	err  error
	done chan struct{}
}

// The first request that finds no commit under way commits the batch for all in it. While it does
// so, the next batch collects.
type journal struct {
	mu         sync.Mutex
	file       *os.File
	next       *batch
	committing bool
	free       []byte // the memory of a batch that is over
	err        error  // of the first commit that failed: nothing is accepted after it
}

func newBatch(memory []byte) *batch {
	return &batch{data: memory[:0], done: make(chan struct{})}
}

// One entry: "timestamp signature length", a newline, the body, a newline.
func appendEntry(to []byte, timestamp, signature string, body []byte) []byte {
	to = append(to, timestamp...)
	to = append(to, ' ')
	to = append(to, signature...)
	to = append(to, ' ')
	to = strconv.AppendInt(to, int64(len(body)), 10)
	to = append(to, '\n')
	to = append(to, body...)
	return append(to, '\n')
}

func (j *journal) add(timestamp, signature string, body []byte) error {
	j.mu.Lock()
	mine := j.next
	mine.data = appendEntry(mine.data, timestamp, signature, body)
	if j.committing {
		j.mu.Unlock()
		<-mine.done
		return mine.err
	}
	j.committing = true
	j.mu.Unlock()
	j.commit()
	return mine.err
}

// Commit what waits. If more has come meanwhile, another goroutine goes on, so that the request
// whose goroutine this is gets its answer.
func (j *journal) commit() {
	j.mu.Lock()
	b := j.next
	j.next = newBatch(j.free)
	j.free = nil
	b.err = j.err
	j.mu.Unlock()
	if b.err == nil {
		_, b.err = j.file.Write(b.data)
	}
	if b.err == nil {
		b.err = syscall.Fdatasync(int(j.file.Fd()))
	}
	close(b.done)
	j.mu.Lock()
	j.err = b.err
	j.free = b.data
	if len(j.next.data) > 0 {
		go j.commit()
	} else {
		j.committing = false
	}
	j.mu.Unlock()
}

type receiver struct {
	key     []byte
	journal *journal
	buffers sync.Pool
}

func (r *receiver) genuine(timestamp, signature string, body []byte) bool {
	seconds, err := strconv.ParseInt(timestamp, 10, 64)
	age := time.Now().Unix() - seconds
	if err != nil || age > 300 || age < -300 {
		return false
	}
	given, err := hex.DecodeString(signature)
	mac := hmac.New(sha256.New, r.key)
	io.WriteString(mac, timestamp)
	io.WriteString(mac, ".")
	mac.Write(body)
	return err == nil && hmac.Equal(given, mac.Sum(nil))
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	if request.Method != http.MethodPost {
		io.WriteString(w, `{"status":"ok"}`+"\n")
		return
	}
	body := r.buffers.Get().(*bytes.Buffer)
	body.Reset()
	defer r.buffers.Put(body)
	n, err := io.Copy(body, io.LimitReader(request.Body, maxBody+1))
	if err != nil || n > maxBody {
		w.WriteHeader(http.StatusRequestEntityTooLarge)
		return
	}
	timestamp := request.Header.Get("X-Fluid-Timestamp")
	signature := request.Header.Get("X-Fluid-Signature")
	if !r.genuine(timestamp, signature, body.Bytes()) {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	if err := r.journal.add(timestamp, signature, body.Bytes()); err != nil {
		log.Print(err)
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	w.Header()["Content-Type"] = []string{"application/json"}
	io.WriteString(w, answer)
}

func main() {
	if len(os.Args) != 4 {
		log.Fatal("usage: receiver SOCKET JOURNAL KEY-FILE")
	}
	key, err := os.ReadFile(os.Args[3])
	if err != nil {
		log.Fatal(err)
	}
	file, err := os.OpenFile(os.Args[2], os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("unix", os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	r := &receiver{key: bytes.TrimSpace(key), journal: &journal{file: file, next: newBatch(nil)}}
	r.buffers.New = func() any { return new(bytes.Buffer) }
	log.Fatal(http.Serve(listener, r))
}
