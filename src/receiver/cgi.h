#ifndef RECEIVER_CGI_H
#define RECEIVER_CGI_H

/**
 * Handle the one request of a CGI (RFC 3875): parameters in the environment, body on standard input,
 * answer on standard output. A configuration that does not work is a 503, with the reasons on standard
 * error. Returns the program's exit status.
 */
int cgi(void);

#endif
