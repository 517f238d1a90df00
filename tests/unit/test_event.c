/*
 * Event names: joined from two fields, split from one (fluid-wire, "Deliveries"). No extra link
 * flags.
 */
#include "support.h"

#include "delivery/event.h"

/* Goal: names of known pairs are split where Fluid splits them, others at the first underscore. */
static void
test_split(void **state)
{
	static const struct {
		const char *name, *want;
	} cases[] = {
		{ "droplet_installed", "droplet.installed" },
		{ "droplet_uninstalled", "droplet.uninstalled" },
		{ "order_created", "order.created" },
		{ "bot_message_created", "bot_message.created" },
		{ "order_external_id_synced", "order.external_id_synced" },
		{ "order_fulfillment_status_changed", "order.fulfillment_status_changed" },
		{ "subscription_resumed", "subscription.resumed" },
		{ "subscription_resumed_after_payment_fix",
		    "subscription.resumed_after_payment_fix" },
		{ "cart_update_cart_email", "cart.update_cart_email" },
		{ "cart_add_items", "cart.add_items" },
		{ "member_sponsorships_reassigned", "member.sponsorships_reassigned" },
		{ "mfa_missing_email", "mfa.missing_email" },
		{ "order.created", "order.created" },
		{ "bot_message.created", "bot_message.created" },
		{ "new_thing.happened_twice", "new_thing.happened_twice" },
		{ "wallet_topped_up", "wallet.topped_up" },
		{ "bot_message_created_again", "bot.message_created_again" },
		{ "fluidhook.probe", "fluidhook.probe" },
		{ "", NULL },
		{ "created", NULL },
		{ "_created", NULL },
		{ "order_", NULL },
		{ ".created", NULL },
		{ "order.", NULL },
		{ "a.b.c", NULL },
		{ "order created", NULL },
		{ "order/created", NULL },
		{ "../order.created", NULL },
		{ "order_cr\xc3\xa9\x65", NULL },
		{ "order_created\n", NULL },
	};
	char out[EVENT_SIZE];

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		int result = event_split(out, cases[i].name, strlen(cases[i].name));

		CHECK_TEXT(result == 0 ? out : NULL, cases[i].want, cases[i].name);
	}
}

/* Goal: every known event comes back from its spelling with an underscore and with a dot. */
static void
test_known(void **state)
{
	char name[EVENT_SIZE], out[EVENT_SIZE];
	size_t n = 0;

	(void)state;
	for (const char *event; (event = event_known(n)) != NULL; n++) {
		assert_int_equal(event_split(out, event, strlen(event)), 0);
		assert_string_equal(out, event);
		snprintf(name, sizeof(name), "%s", event);
		*strchr(name, '.') = '_';
		assert_int_equal(event_split(out, name, strlen(name)), 0);
		assert_string_equal(out, event);
	}
	assert_int_equal(n, 51);
	assert_null(event_known(n + 1));
}

/* Goal: two fields become one name when both are plain words, and never one that is too long. */
static void
test_join(void **state)
{
	static const struct {
		const char *resource, *event, *want;
	} cases[] = {
		{ "droplet", "installed", "droplet.installed" },
		{ "bot_message", "created", "bot_message.created" },
		{ "Order-2", "X_1", "Order-2.X_1" },
		{ "Droplet", "Installed", "droplet.installed" },
		{ "DROPLET", "uninstalled", "droplet.uninstalled" },
		{ "Fluidhook", "Given_Up", "fluidhook.given_up" },
		{ "Fluidhooks", "Given_Up", "Fluidhooks.Given_Up" },
		{ "", "created", NULL },
		{ "order", "", NULL },
		{ "order", "a.b", NULL },
		{ "..", "x", NULL },
		{ "order", "../x", NULL },
		{ "order", "a b", NULL },
		{ "order", "cr\xc3\xa9\x65", NULL },
	};
	char out[EVENT_SIZE], word[EVENT_SIZE];

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		int result = event_join(out, cases[i].resource, strlen(cases[i].resource),
		    cases[i].event, strlen(cases[i].event));

		CHECK_TEXT(result == 0 ? out : NULL, cases[i].want, cases[i].event);
	}
	assert_int_equal(event_join(out, "or\0der", 6, "created", 7), -1);
	memset(word, 'w', sizeof(word));
	assert_int_equal(event_join(out, word, EVENT_MAX_LEN - 2, "e", 1), 0);
	assert_int_equal(strlen(out), EVENT_MAX_LEN);
	assert_int_equal(event_join(out, word, EVENT_MAX_LEN - 1, "e", 1), -1);
	word[0] = 'a';
	word[1] = '_';
	assert_int_equal(event_split(out, word, EVENT_MAX_LEN), 0);
	assert_int_equal(event_split(out, word, EVENT_SIZE), -1);
}

/* Goal: the resource "fluidhook" is reserved in any spelling, and no other is. */
static void
test_reserved(void **state)
{
	(void)state;
	assert_true(event_is_reserved("fluidhook.probe"));
	assert_true(event_is_reserved("fluidhook.given_up"));
	assert_true(event_is_reserved("FluidHook.given_up"));
	assert_false(event_is_reserved("fluidhooks.created"));
	assert_false(event_is_reserved("fluid.hook"));
	assert_false(event_is_reserved("order.created"));
	assert_false(event_is_reserved(""));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_split),
		cmocka_unit_test(test_known),
		cmocka_unit_test(test_join),
		cmocka_unit_test(test_reserved),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
