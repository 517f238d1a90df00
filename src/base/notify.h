#ifndef BASE_NOTIFY_H
#define BASE_NOTIFY_H

/**
 * Tell the service manager how the process is, as sd_notify(3) does: "READY=1", "STOPPING=1". The
 * message is one datagram to the socket that $NOTIFY_SOCKET names. Without that variable nothing is
 * sent; an error is logged.
 */
void notify(const char *state);

#endif
