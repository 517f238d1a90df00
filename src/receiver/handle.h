#ifndef RECEIVER_HANDLE_H
#define RECEIVER_HANDLE_H

#include "base/buf.h"
#include "receiver/receiver.h"
#include "receiver/request.h"

/**
 * Handle one request from its first byte to its log line. The answer, in the form that CGI and FastCGI
 * both want, is appended to `out`; it is for the caller to send. A 2xx is in there only when the
 * delivery is on stable storage. Safe from several threads.
 */
void handle(struct receiver *r, struct request *q, struct buf *out);

#endif
