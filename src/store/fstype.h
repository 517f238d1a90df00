#ifndef STORE_FSTYPE_H
#define STORE_FSTYPE_H

enum { FSTYPE_SIZE = 32 };

/** The type of the file system that the open file is on, for messages: "ext4", "fuse.sshfs". */
const char *fstype_of(int fd, char out[FSTYPE_SIZE]);

#endif
