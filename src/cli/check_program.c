#include "cli/check_program.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/utf8.h"

/* The kernel reads so many bytes of a program to find out what it is (BINPRM_BUF_SIZE). */
enum { HEAD_SIZE = 256, FILE_PATH_SIZE = 4096 };

/* The PATH of a hook whose worker has none (worker/hook_env.c), and part of what cron and systemd set. */
static const char usual_path[] = "/usr/local/bin:/usr/bin:/bin";

static bool __attribute__((format(printf, 3, 4)))
faulty(struct program_fault *f, const char *hint, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(f->what, sizeof(f->what), fmt, ap);
	va_end(ap);
	if (hint != f->hint)
		snprintf(f->hint, sizeof(f->hint), "%s", hint);
	return (false);
}

/* A regular file that this user can execute. On a file system that is mounted noexec, there is none. */
static bool
is_program(const char *path)
{
	struct stat st;

	return (stat(path, &st) == 0 && S_ISREG(st.st_mode) &&
	    faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) == 0);
}

static bool
is_in_path(const char *name, const char *path)
{
	char file[FILE_PATH_SIZE];
	size_t len;

	for (; path && *path; path += len + (path[len] == ':')) {
		len = strcspn(path, ":");
		/* An empty entry is the working directory, which is "/" for a hook. */
		if ((size_t)snprintf(file, sizeof(file), "%.*s/%s", (int)len, path, name) <
			sizeof(file) &&
		    is_program(file))
			return (true);
	}
	return (false);
}

/*
 * "#!/usr/bin/env NAME": env looks for NAME. argument: what follows env, which the kernel passes as one argument. Only
 * -S divides it into words.
 */
static bool
env_finds(char *argument, struct program_fault *f)
{
	char *word, *rest = NULL;

	if (strncmp(argument, "-S", 2) == 0 || strncmp(argument, "--split-string", 14) == 0 ||
	    strncmp(argument, "-vS", 3) == 0) {
		argument += *argument == '-' && argument[1] == '-' ? 14 :
		    argument[1] == 'v'                             ? 3 :
								     2;
		argument += *argument == '=';
		for (word = strtok_r(argument, " \t", &rest);
		     word && (strchr(word, '=') || *word == '-');)
			word = strtok_r(NULL, " \t", &rest);
	} else {
		word = argument;
		if (strpbrk(word, " \t") && *word != '-') {
			snprintf(f->hint, sizeof(f->hint), "Write \"env -S %s\".", argument);
			return (faulty(f, f->hint,
			    "its first line makes env look for one program called \"%s\"",
			    argument));
		}
	}
	if (word == NULL || *word == '\0')
		return (faulty(f, "Name the interpreter behind env.",
		    "its first line gives env no program to run"));
	if (*word == '-' || (strchr(word, '/') && is_program(word)) || is_in_path(word, usual_path))
		return (true);
	if (strchr(word, '/') == NULL && is_in_path(word, getenv("PATH"))) {
		f->maybe = true;
		snprintf(f->hint, sizeof(f->hint),
		    "Name its whole path in the first line, or set PATH for the "
		    "worker.");
		return (faulty(f, f->hint,
		    "%s is in the PATH of this shell, but not in %s, which a worker has at "
		    "least",
		    word, usual_path));
	}
	snprintf(f->hint, sizeof(f->hint),
	    "Its first line says env %s: install that, or name another.", word);
	return (faulty(f, f->hint, "its interpreter %s is not there", word));
}

/* line: what follows "#!" in the first line; changed. */
static bool
has_interpreter(char *line, struct program_fault *f)
{
	char *interpreter = line + strspn(line, " \t"), *argument, *base;
	char path[HEAD_SIZE + 2];
	size_t len = strlen(line);

	if (len && line[len - 1] == '\r')
		return (faulty(f, "Save it with the line ends of Unix: sed -i 's/\\r$//' FILE.",
		    "its first line ends with "
		    "a carriage return, so its interpreter is not found"));
	argument = interpreter + strcspn(interpreter, " \t");
	if (*argument)
		*argument++ = '\0';
	argument += strspn(argument, " \t");
	for (len = strlen(argument); len && strchr(" \t", argument[len - 1]); len--)
		argument[len - 1] = '\0';
	if (*interpreter == '\0')
		return (faulty(f, "Its first line has to be such as #!/bin/sh.",
		    "its first line names no interpreter"));
	/* A hook runs in "/". */
	snprintf(path, sizeof(path), "%s%s", *interpreter == '/' ? "" : "/", interpreter);
	if (!is_program(path)) {
		snprintf(f->hint, sizeof(f->hint),
		    "Its first line says %s: install that, or name another.", interpreter);
		return (faulty(f, f->hint, "its interpreter is not there"));
	}
	base = strrchr(path, '/') + 1;
	return (strcmp(base, "env") != 0 || env_finds(argument, f));
}

static bool
is_text(const char *head, size_t n)
{
	return (memchr(head, '\0', n) == NULL);
}

static bool
has_good_head(int fd, struct program_fault *f)
{
	char head[HEAD_SIZE + 1];
	ssize_t n = read(fd, head, HEAD_SIZE);

	if (n == -1)
		return (faulty(f, "Its file system or disk may be damaged.",
		    "it cannot be read: %s", strerror(errno)));
	if (n == 0)
		return (faulty(f, "Write a program into it, or remove it.", "it is empty"));
	head[n] = '\0';
	if (utf8_mark(head, (size_t)n))
		return (faulty(f, "Save it without the mark: sed -i '1s/^\\xef\\xbb\\xbf//' FILE.",
		    "it begins with a byte "
		    "order mark, so the kernel does not see its #!"));
	if (n >= 2 && (memcmp(head, "\xff\xfe", 2) == 0 || memcmp(head, "\xfe\xff", 2) == 0))
		return (faulty(f, "Save it as UTF-8, without a byte order mark.",
		    "it is UTF-16 text, which the kernel "
		    "cannot run"));
	if (n >= 2 && head[0] == '#' && head[1] == '!') {
		head[strcspn(head, "\n")] = '\0';
		return (has_interpreter(head + 2, f));
	}
	if (is_text(head, (size_t)n))
		return (faulty(f, "Begin it with a line such as #!/bin/sh.",
		    "it has no #! line, so the kernel does not "
		    "know how to run it"));
	return (true);
}

/* Whether this user can execute it, by the rights of the file and of its file system. */
static bool
is_executable(int dir, const char *name, struct program_fault *f)
{
	int fd = openat(dir, name, O_PATH | O_CLOEXEC);
	struct statvfs fs;
	struct stat st;
	int result;

	if (fd != -1) {
		result = fstatvfs(fd, &fs);
		close(fd);
		if (result == 0 && (fs.f_flag & ST_NOEXEC))
			return (faulty(f,
			    "Mount it without noexec, or put the hooks elsewhere ([worker] hooks).",
			    "its file system is mounted noexec: nothing on it can be executed"));
	}
	if (faccessat(dir, name, X_OK, AT_EACCESS) == 0)
		return (true);
	if (fstatat(dir, name, &st, 0) == 0 && (st.st_mode & 0111))
		return (faulty(f, "chmod a+x it, or give it to the worker's user.",
		    "the worker's user cannot execute it "
		    "(mode %04o)",
		    (unsigned)st.st_mode & 07777));
	return (faulty(f, "chmod +x it.", "the worker cannot execute it"));
}

bool
program_can_run(int dir, const char *name, struct program_fault *f)
{
	bool good;
	int fd;

	f->maybe = false;
	if (!is_executable(dir, name, f))
		return (false);
	if ((fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK)) == -1) {
		/* A binary program can run without. */
		f->maybe = true;
		return (faulty(f, "chmod a+r it, or give it to the worker's user.",
		    "the worker's user cannot read it: a "
		    "script does not run then"));
	}
	good = has_good_head(fd, f);
	close(fd);
	return (good);
}
