#include "store/marker.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <unistd.h>

#include "base/log.h"
#include "store/durable.h"

int
marker_make(int directory, const char *record)
{
	int fd = openat(directory, record, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd == -1)
		return (-1);
	close(fd);
	return (0);
}

int
marker_set(int directory, const char *record)
{
	if (marker_make(directory, record))
		return (-1);
	/* Also where it was there before: whoever made it may have died before this. */
	return (sync_directory(directory));
}

void
marker_clear(int directory, const char *record)
{
	if (unlinkat(directory, record, 0) && errno != ENOENT)
		log_errno(LOG_LEVEL_WARN, "marker not removed", "record", record, NULL);
}
