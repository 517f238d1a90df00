// The receiver's durable job in Node.js, for script/bench: verify the HMAC, append the delivery to
// a journal, one fdatasync for all that wait, then 200.
//
// Usage: node receiver.js SOCKET JOURNAL KEY-FILE
'use strict';
const crypto = require('crypto');
const fs = require('fs');
const http = require('http');

const [socket, path, keyFile] = process.argv.slice(2);
const key = crypto.createSecretKey(Buffer.from(fs.readFileSync(keyFile, 'utf8').trim()));
const journal = fs.openSync(path, 'a', 0o600);
const answer = Buffer.from('{"status":"accepted"}\n');
const MAX_BODY = 1 << 20;
const NEWLINE = Buffer.from('\n');

let entries = [];  // buffers of the deliveries that wait for the next commit
let waiting = [];  // their responses
let committing = false;
let failed = null; // of the first commit that failed: nothing is accepted after it

function reply(response, status, body) {
	response.writeHead(status, {
		'Content-Type': 'application/json',
		'Content-Length': body.length,
	});
	response.end(body);
}

function committed(error, responses) {
	failed = failed || error;
	for (const response of responses)
		reply(response, failed ? 503 : 200, failed ? NEWLINE : answer);
	committing = false;
	if (waiting.length > 0)
		commit();
}

// While one commit is under way, the next batch collects.
function commit() {
	const data = Buffer.concat(entries), responses = waiting;

	committing = true;
	entries = [];
	waiting = [];
	if (failed)
		return committed(failed, responses);
	fs.write(journal, data, 0, data.length, null, (error, written) => {
		if (error || written !== data.length)
			return committed(error || new Error('short write'), responses);
		fs.fdatasync(journal, (error) => committed(error, responses));
	});
}

function genuine(timestamp, signature, body) {
	if (!/^\d{1,12}$/.test(timestamp) || Math.abs(Date.now() / 1000 - timestamp) > 300)
		return false;
	const mac = crypto.createHmac('sha256', key).update(timestamp + '.').update(body).digest();
	const given = Buffer.from(signature || '', 'hex');
	return given.length === mac.length && crypto.timingSafeEqual(given, mac);
}

function received(request, response, body) {
	const timestamp = request.headers['x-fluid-timestamp'];
	const signature = request.headers['x-fluid-signature'];

	if (!genuine(timestamp, signature, body))
		return reply(response, 401, NEWLINE);
	// One entry: "timestamp signature length", a newline, the body, a newline.
	entries.push(Buffer.from(`${timestamp} ${signature} ${body.length}\n`, 'latin1'), body,
	    NEWLINE);
	waiting.push(response);
	if (!committing) {
		// What else has arrived in this turn of the event loop goes into the same commit.
		committing = true;
		setImmediate(commit);
	}
}

const server = http.createServer((request, response) => {
	if (request.method !== 'POST')
		return reply(response, 200, answer);
	const parts = [];
	let length = 0;
	request.on('data', (part) => {
		parts.push(part);
		length += part.length;
		if (length > MAX_BODY)
			request.destroy();
	});
	request.on('end', () => {
		received(request, response, parts.length === 1 ? parts[0] : Buffer.concat(parts));
	});
});
server.keepAliveTimeout = 120000;
server.listen({ path: socket, backlog: 1024 });
