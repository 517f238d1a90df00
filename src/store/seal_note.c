#include "store/seal_note.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "store/durable.h"

static const char name[] = "seal";

int
seal_note_read(int queue, char id[SEAL_ID_SIZE])
{
	struct buf text = { 0 };
	int result = -1;

	id[0] = '\0';
	if (file_read_at(queue, name, SEAL_ID_SIZE, &text)) {
		if (errno == ENOENT)
			result = 0;
	} else if (text.len == SEAL_ID_SIZE && text.data[SEAL_ID_SIZE - 1] == '\n' &&
	    strspn(text.data, "0123456789abcdef") == SEAL_ID_SIZE - 1) {
		memcpy(id, text.data, SEAL_ID_SIZE - 1);
		id[SEAL_ID_SIZE - 1] = '\0';
		result = 0;
	} else {
		errno = EBADMSG;
	}
	buf_free(&text);
	return (result);
}

int
seal_note_write(int queue, const char *id)
{
	char line[SEAL_ID_SIZE + 1];

	snprintf(line, sizeof(line), "%s\n", id);
	return (durable_replace(queue, name, line, strlen(line), 0600));
}
