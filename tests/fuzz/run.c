/*
 * In place of libFuzzer: runs the files given as arguments, and all files of a directory, each with every first
 * byte. A rule that does not hold ends the program.
 */
#include <dirent.h>
#include <errno.h>
#include <string.h>

#include "fuzz.h"

/* Run one file. Returns 0, or 1 when it cannot be read. */
static int
run_file(const char *path)
{
	FILE *fp = fopen(path, "re");
	static uint8_t data[1 << 20];
	size_t len;

	if (fp == NULL) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		return (1);
	}
	len = fread(data, 1, sizeof(data), fp);
	fclose(fp);
	/* Every cut, not only the one that the first byte asks for. */
	for (unsigned how = 0; len && how < 256; how++) {
		uint8_t first = data[0];

		data[0] = (uint8_t)how;
		LLVMFuzzerTestOneInput(data, len);
		data[0] = first;
	}
	return (0);
}

/* Run a file, or all files of a directory. Returns how many there were, or -1. */
static int
run(const char *path)
{
	DIR *dir = opendir(path);
	const struct dirent *entry;
	char file[4096];
	int n = 0;

	if (dir == NULL)
		return (run_file(path) ? -1 : 1);
	while ((entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(file, sizeof(file), "%s/%s", path, entry->d_name);
		if (run_file(file)) {
			n = -1;
			break;
		}
		n++;
	}
	closedir(dir);
	return (n);
}

int
main(int argc, char **argv)
{
	int n, total = 0;

	for (int i = 1; i < argc; i++) {
		if ((n = run(argv[i])) == -1)
			return (1);
		total += n;
	}
	if (total == 0) {
		fprintf(stderr, "usage: %s FILE_OR_DIRECTORY...\n", argv[0]);
		return (2);
	}
	/* A rule that does not hold has ended the program before this line. */
	printf("%d inputs, each cut in 256 ways\n", total);
	return (0);
}
