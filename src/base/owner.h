#ifndef BASE_OWNER_H
#define BASE_OWNER_H

/**
 * Where the process runs as root: become the user and the group that own `path`, for good, with that
 * user's other groups. What is written from then on can be read by whoever runs as that user. A process
 * that is not root stays what it is, and so does root where root is the owner.
 * Returns 0, or -1 with errno set: ENOENT where there is no such path.
 */
int owner_become(const char *path);

#endif
