/*
 * The floor for script/bench: the least that a threaded libfcgi program can do with a delivery.
 * It reads the body and answers 200 with a line as long as the receiver's. It verifies nothing and
 * stores nothing.
 *
 * Usage: floor THREADS, with a listening socket on fd 0 (spawn-fcgi starts it so).
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include <fcgiapp.h>

enum { THREADS_MAX = 256, CHUNK = 65536 };

static const char answer[] =
    "Status: 200 OK\r\nContent-Type: application/json\r\nCache-Control: no-store\r\n\r\n"
    "{\"status\":\"accepted\",\"event\":\"droplet.installed\","
    "\"delivery\":\"00000000-0000-7000-8000-000000000000\","
    "\"installation\":\"dri_ssklg1e12jewefxfrorx92v317t0b2ho\"}\n";

/* Serve one request after the other for as long as the socket gives any. */
static void *
serve(void *unused)
{
	FCGX_Request request;
	char *chunk;

	(void)unused;
	if ((chunk = malloc(CHUNK)) == NULL || FCGX_InitRequest(&request, 0, 0) != 0)
		goto done;
	while (FCGX_Accept_r(&request) == 0) {
		while (FCGX_GetStr(chunk, CHUNK, request.in) > 0)
			;
		FCGX_PutStr(answer, sizeof(answer) - 1, request.out);
		FCGX_Finish_r(&request);
	}
done:
	free(chunk);
	return (NULL);
}

int
main(int argc, char **argv)
{
	pthread_t threads[THREADS_MAX];
	long count = argc == 2 ? strtol(argv[1], NULL, 10) : 0;
	long i;

	if (count < 1 || count > THREADS_MAX) {
		fprintf(stderr, "usage: floor THREADS (1 to %d), with a listening socket on fd 0\n",
		    THREADS_MAX);
		return (2);
	}
	if (FCGX_Init() != 0) {
		fprintf(stderr, "floor: libfcgi does not start\n");
		return (1);
	}
	/* libfcgi caught it, to finish the request at hand first. Here it just ends. */
	signal(SIGTERM, SIG_DFL);
	for (i = 0; i < count; i++) {
		if (pthread_create(&threads[i], NULL, serve, NULL) != 0) {
			perror("floor: pthread_create");
			return (1);
		}
	}
	for (i = 0; i < count; i++)
		pthread_join(threads[i], NULL);
	return (0);
}
