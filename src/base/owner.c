#include "base/owner.h"

#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

int
owner_become(const char *path)
{
	const struct passwd *pw;
	struct stat st;

	if (stat(path, &st))
		return (-1);
	if (geteuid() != 0 || st.st_uid == 0)
		return (0);
	pw = getpwuid(st.st_uid);
	if ((pw ? initgroups(pw->pw_name, st.st_gid) : setgroups(0, NULL)) || setgid(st.st_gid) ||
	    setuid(st.st_uid))
		return (-1);
	return (0);
}
