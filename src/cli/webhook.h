#ifndef CLI_WEBHOOK_H
#define CLI_WEBHOOK_H

#include "cli/lib/cli.h"
#include "fluid/webhook.h"

/* What the commands of `fluidhook webhook` share. */

extern const struct command webhook_list_command, webhook_show_command, webhook_events_command;

/** Print a webhook; of its auth_token only whether there is one. Returns the exit status. */
int webhook_print(const struct webhook *w, bool json);

/** For commands whose argument is the ID of a webhook. Returns CLI_DONE, or the exit status. */
int webhook_check_id(const struct cli *c);

#endif
