#include "cli/lib/entry_print.h"

#include <stdio.h>

#include "base/json.h"
#include "cli/lib/cli.h"

int
entry_print_json(const struct entry *e, const char *body)
{
	struct buf out = { 0 };
	struct json_writer *w = json_writer_new(&out, false);
	int result;

	if (w == NULL)
		return (cli_fail("out of memory"));
	json_object(w);
	entry_print(e, w);
	json_key(w, "bytes");
	json_int(w, (long long)e->body_len);
	if (body) {
		json_key(w, "body");
		json_string(w, body);
	}
	json_object_end(w);
	result = json_writer_end(w) ? cli_fail("out of memory") : CLI_DONE;
	if (result == CLI_DONE)
		printf("%s\n", out.data);
	buf_free(&out);
	return (result);
}
