/*
 * A library to be preloaded: lets one allocation fail, or all from one on. A test says which through a
 * file that is mapped (FAILING_MALLOC): two numbers of 32 bits. The first counts down with each
 * allocation; the one that makes it 0 fails, and while it is 0 nothing fails. With the second not 0, all
 * later ones fail too, until the test writes the first anew. -1 as the first: nothing is counted.
 *
 * Allocations of libfcgi do not count, as it ends the process when one fails (an assertion).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t size);

struct control {
	int32_t left;
	int32_t all;
};

static struct control *control;
static uintptr_t spared_begin, spared_end;

static int
find_spared(struct dl_phdr_info *info, size_t size, void *unused)
{
	(void)size;
	(void)unused;
	if (strstr(info->dlpi_name, "libfcgi") == NULL)
		return (0);
	spared_begin = info->dlpi_addr;
	for (int i = 0; i < info->dlpi_phnum; i++)
		if (info->dlpi_phdr[i].p_type == PT_LOAD)
			spared_end = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr +
			    info->dlpi_phdr[i].p_memsz;
	return (1);
}

__attribute__((constructor)) static void
begin(void)
{
	const char *path = getenv("FAILING_MALLOC");
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	void *map;

	if (fd == -1)
		return;
	dl_iterate_phdr(find_spared, NULL);
	map = mmap(NULL, sizeof(struct control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (map != MAP_FAILED)
		control = map;
}

static bool
fails(const void *caller)
{
	int32_t left;

	if (control == NULL ||
	    ((uintptr_t)caller >= spared_begin && (uintptr_t)caller < spared_end))
		return (false);
	left = __atomic_load_n(&control->left, __ATOMIC_SEQ_CST);
	if (left > 0)
		left = __atomic_sub_fetch(&control->left, 1, __ATOMIC_SEQ_CST);
	else if (left < 0 || !control->all)
		return (false);
	if (left > 0)
		return (false);
	errno = ENOMEM;
	return (true);
}

void *
malloc(size_t size)
{
	return (fails(__builtin_return_address(0)) ? NULL : __libc_malloc(size));
}

void *
calloc(size_t n, size_t size)
{
	return (fails(__builtin_return_address(0)) ? NULL : __libc_calloc(n, size));
}

void *
realloc(void *p, size_t size)
{
	return (fails(__builtin_return_address(0)) ? NULL : __libc_realloc(p, size));
}
