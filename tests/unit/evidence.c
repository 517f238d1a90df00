#include "evidence.h"

#include "store/index.h"

static const char configuration[] = "state_dir = state\n"
				    "[droplet reports]\nuuid = drp_r\nsecrets = reports\n"
				    "[droplet shipping]\nuuid = drp_s\nsecrets = shipping\n";

static const struct {
	const char *name, *shop, *company, *droplet, *token, *key;
	enum installation_status status;
	const char *subscription_key;
} records[] = {
	{ "dri_a", "acme", "42", "drp_r", "dit_a", "wvt_a", INSTALLATION_ACTIVE, NULL },
	{ "dri_b", "beta.fluid.app", "43", "drp_r", "dit_b", "wvt_b", INSTALLATION_ACTIVE, NULL },
	{ "dri_s1", "shared", "44", "drp_r", "dit_s1", "wvt_s1", INSTALLATION_ACTIVE, NULL },
	{ "dri_s2", "shared", "44", "drp_s", "dit_s2", "wvt_s2", INSTALLATION_ACTIVE, NULL },
	{ "dri_old", "old", "45", NULL, "dit_old", "wvt_old", INSTALLATION_ACTIVE, NULL },
	{ "dri_sub", "sub", "46", "drp_s", "dit_sub", NULL, INSTALLATION_ACTIVE, "sub_key" },
	{ "dri_gone", "acme", "42", "drp_r", NULL, "wvt_gone", INSTALLATION_UNINSTALLED, NULL },
	{ "dri_pending", "acme", "42", "drp_r", NULL, "wvt_pending", INSTALLATION_PENDING, NULL },
	{ "dri_unconfirmed", "acme", "42", "drp_r", "dit_u", "wvt_unconfirmed",
	    INSTALLATION_UNCONFIRMED, NULL },
	{ "dri_failed", "failing", "47", "drp_r", NULL, NULL, INSTALLATION_FAILED, NULL },
};

void
evidence_records(struct keys *k)
{
	for (size_t i = 0; i < LENGTH(records); i++) {
		struct installation *r = installation_new(records[i].name);
		char shop[NAME_SIZE];

		assert_non_null(r);
		r->status = records[i].status;
		installation_set(&r->droplet_installation_uuid, records[i].name);
		installation_set(&r->fluid_shop, records[i].shop);
		installation_set(&r->fluid_company_id, records[i].company);
		r->fluid_company_id_number = true;
		installation_set(&r->droplet_uuid, records[i].droplet);
		installation_set(&r->authentication_token, records[i].token);
		installation_set(&r->webhook_verification_token, records[i].key);
		installation_set(&r->subscription_auth_token, records[i].subscription_key);
		r->installed_at = NOW - 1000;
		assert_int_equal(installation_save(k->state->installations, r), 0);
		name_of_shop(shop, r->fluid_shop, strlen(r->fluid_shop));
		assert_int_equal(index_add(k->state->shops, shop, r->record), 0);
		assert_int_equal(index_add(k->state->companies, r->fluid_company_id, r->record), 0);
		installation_free(r);
	}
}

int
evidence_setup(void **state)
{
	struct keys *k = calloc(1, sizeof(*k));

	if (k == NULL)
		return (-1);
	*state = k;
	k->directory = directory_make();
	file_text(k->directory, "reports", "# newest first\ndws_r2\n\n  dws_r1\r\n", 0600);
	file_text(k->directory, "shipping", "dws_s", 0640);
	k->conf = conf_make(k->directory, configuration);
	k->state = state_make(k->conf->state_dir);
	if (k->state == NULL)
		return (-1);
	k->authority = (struct authority){ .conf = k->conf,
		.secrets = secrets_new(),
		.records = records_new(k->state->installations),
		.state = k->state };
	evidence_records(k);
	stderr_capture(k->directory, "log");
	return (0);
}

int
evidence_teardown(void **state)
{
	struct keys *k = *state;

	stderr_restore();
	records_free(k->authority.records);
	secrets_free(k->authority.secrets);
	state_close(k->state);
	conf_free(k->conf);
	directory_remove(k->directory);
	free(k);
	return (0);
}

static struct header
header_of(const char *value, unsigned count)
{
	return ((struct header){ value, count ? count : value != NULL });
}

void
expect_by(struct keys *k, const struct expected *e, const struct given *g, enum verified_by by)
{
	const struct fluid_headers h = {
		.shop = header_of(g->shop, 0),
		.timestamp = header_of(g->timestamp, g->timestamp_count),
		.signature = header_of(g->signature, g->signature_count),
		.token = header_of(g->token, g->token_count),
		.auth_token = header_of(g->auth_token, g->auth_token_count),
	};
	const char *body = quoted(e->body), *reason = NULL;
	size_t len = strlen(body);
	struct delivery *d = delivery_of(body, len);
	struct evidence got;
	enum verdict verdict = authenticate(&k->authority, &h, d, body, len, NOW, &got, &reason);

	CHECK(verdict == e->want.verdict, "%s: verdict %d, want %d (%s)", e->name, (int)verdict,
	    (int)e->want.verdict, or_none(reason));
	if (verdict == VERDICT_GENUINE) {
		CHECK(got.key == e->want.key && got.by == by, "%s: key %d, by %d", e->name,
		    (int)got.key, (int)got.by);
		CHECK_TEXT(got.droplet ? got.droplet->name : NULL, e->want.droplet, e->name);
		CHECK_TEXT(got.record && got.key == KEY_INSTALLATION ?
			got.record->installation->record :
			NULL,
		    e->want.record, e->name);
		CHECK(got.foreign == e->want.foreign, "%s: foreign %d", e->name, got.foreign);
		CHECK(got.applied == e->want.applied, "%s: applied %d", e->name, got.applied);
		CHECK(strlen(got.fingerprint) == FINGERPRINT_SIZE - 1, "%s: no fingerprint",
		    e->name);
	} else {
		CHECK_TEXT(reason, e->want.reason, e->name);
	}
	evidence_release(&k->authority, &got);
	delivery_free(d);
}

void
expect(struct keys *k, const struct expected *e, const struct given *g)
{
	expect_by(k, e, g, VERIFIED_SIGNATURE);
}

void
expect_signed(struct keys *k, const struct expected *e, struct given g)
{
	char hex[SIGNATURE_HEX_SIZE];

	g.signature = sign(hex, e->key, g.timestamp ? g.timestamp : "", quoted(e->body));
	expect(k, e, &g);
}

const char *
sign(char hex[SIGNATURE_HEX_SIZE], const char *key, const char *timestamp, const char *text)
{
	unsigned char digest[SIGNATURE_LEN];

	signature_compute(digest, key, timestamp, text, strlen(text));
	signature_hex(hex, digest);
	return (hex);
}
