#include "store/fstype.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

/* The type in a line of mountinfo (proc(5)) if the line is about this device; else NULL. */
static char *
type_in_line(char *line, dev_t dev)
{
	unsigned dev_major, dev_minor;
	char *type;

	if (sscanf(line, "%*u %*u %u:%u ", &dev_major, &dev_minor) != 2 ||
	    makedev(dev_major, dev_minor) != dev || (type = strstr(line, " - ")) == NULL)
		return (NULL);
	type += 3;
	type[strcspn(type, " \n")] = '\0';
	return (type);
}

const char *
fstype_of(int fd, char out[FSTYPE_SIZE])
{
	FILE *mounts = fopen("/proc/self/mountinfo", "re");
	const char *type = NULL;
	char *line = NULL;
	struct statfs fs;
	struct stat st;
	size_t size = 0;

	if (mounts && fstat(fd, &st) == 0)
		while (type == NULL && getline(&line, &size, mounts) != -1)
			type = type_in_line(line, st.st_dev);
	if (type)
		snprintf(out, FSTYPE_SIZE, "%s", type);
	else if (fstatfs(fd, &fs) == 0)
		snprintf(out, FSTYPE_SIZE, "type 0x%lx", (unsigned long)fs.f_type);
	else
		snprintf(out, FSTYPE_SIZE, "unknown");
	free(line);
	if (mounts)
		fclose(mounts);
	return (out);
}
