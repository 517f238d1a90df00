/* The answer to an exchange on disk: read as it was written, and never half. */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "worker/answer.h"

#define DRI "dri_1"

struct place {
	char *path;
	int dir;
};

static int
setup(void **state)
{
	struct place *p = calloc(1, sizeof(*p));

	p->path = directory_make();
	p->dir = open(p->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	*state = p;
	return (p->dir == -1);
}

static int
teardown(void **state)
{
	struct place *p = *state;

	close(p->dir);
	directory_remove(p->path);
	free(p);
	return (0);
}

static char dri[] = DRI, dex_1[] = "dex_1";
static struct installation asked = { .record = dri,
	.exchange_token = dex_1,
	.installed_at = 1700000000 };

static const struct exchange answered = {
	.installation = { .droplet_installation_uuid = DRI,
	    .fluid_company_id = "5",
	    .fluid_company_id_number = true,
	    .fluid_shop = "a \"shop\"",
	    .active = true },
	.authentication_token = "dit_1",
	.webhook_verification_token = "wvt_1",
};

/* Goal: everything that the rules look at is there again. */
static void
test_read_again(void **state)
{
	struct place *p = *state;
	struct reserve r;
	struct installation *i;
	struct exchange x;

	assert_int_equal(reserve_make(&r, p->dir, DRI, ANSWER_SIZE), 0);
	assert_int_equal(answer_read(p->dir, DRI, &i, &x), -1);
	assert_int_equal(errno, EBADMSG);
	assert_int_equal(answer_write(&r, &asked, &answered), 0);
	reserve_leave(&r);
	assert_int_equal(answer_read(p->dir, DRI, &i, &x), 0);
	assert_string_equal(i->record, DRI);
	assert_string_equal(i->exchange_token, "dex_1");
	assert_int_equal(i->installed_at, 1700000000);
	assert_string_equal(x.authentication_token, "dit_1");
	assert_string_equal(x.webhook_verification_token, "wvt_1");
	assert_string_equal(x.installation.droplet_installation_uuid, DRI);
	assert_null(x.installation.droplet_uuid);
	assert_string_equal(x.installation.fluid_company_id, "5");
	assert_true(x.installation.fluid_company_id_number);
	assert_string_equal(x.installation.fluid_shop, "a \"shop\"");
	assert_true(x.installation.active);
	installation_free(i);
	exchange_free(&x);
	assert_int_equal(answer_remove(p->dir, DRI), 0);
	assert_int_equal(answer_remove(p->dir, DRI), 0);
	assert_int_equal(answer_read(p->dir, DRI, &i, &x), -1);
	assert_int_equal(errno, ENOENT);
}

/* Goal: however much of it a kill has left, a part is no answer. */
static void
test_cut(void **state)
{
	struct place *p = *state;
	struct reserve r;
	struct installation *i;
	struct exchange x;
	struct stat st;

	assert_int_equal(reserve_make(&r, p->dir, DRI, 1), 0);
	assert_int_equal(answer_write(&r, &asked, &answered), 0);
	reserve_leave(&r);
	assert_int_equal(fstatat(p->dir, DRI, &st, 0), 0);
	while (st.st_size-- > 0) {
		assert_int_equal(truncate(path_in(p->path, DRI), st.st_size), 0);
		CHECK(answer_read(p->dir, DRI, &i, &x) == -1 && errno == EBADMSG, "%ld bytes",
		    (long)st.st_size);
	}
	/* A directory is there, and cannot be read: that is not the same as none. */
	assert_int_equal(unlinkat(p->dir, DRI, 0), 0);
	assert_int_equal(mkdirat(p->dir, DRI, 0700), 0);
	assert_int_equal(answer_read(p->dir, DRI, &i, &x), -1);
	assert_true(errno != ENOENT && errno != EBADMSG);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_read_again, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cut, setup, teardown),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
