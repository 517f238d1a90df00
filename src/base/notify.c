#include "base/notify.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"

void
notify(const char *state)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	size_t len = path ? strlen(path) : 0;
	int fd;

	if (len == 0)
		return;
	if (len >= sizeof(address.sun_path)) {
		errno = ENAMETOOLONG;
		log_errno(LOG_LEVEL_ERROR, "cannot notify the service manager", "socket", path,
		    NULL);
		return;
	}
	memcpy(address.sun_path, path, len);
	/* An abstract socket: its name begins with a NUL, which the variable spells "@". */
	if (*path == '@')
		address.sun_path[0] = '\0';
	if ((fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) == -1 ||
	    sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&address,
		(socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)) == -1)
		log_errno(LOG_LEVEL_ERROR, "cannot notify the service manager", "socket", path,
		    NULL);
	if (fd != -1)
		close(fd);
}
