/*
 * A CGI program that does nothing, linked with the receiver's libraries: what a start of
 * fluidhook.fcgi as CGI is measured against in script/bench. It reads its input and answers 200.
 */
#include <string.h>
#include <unistd.h>

int
main(void)
{
	static const char answer[] = "Status: 200 OK\r\nContent-Type: application/json\r\n"
				     "Cache-Control: no-store\r\n\r\n{\"status\":\"ok\"}\n";
	char buffer[65536];

	while (read(STDIN_FILENO, buffer, sizeof(buffer)) > 0)
		;
	return (write(STDOUT_FILENO, answer, strlen(answer)) == -1);
}
