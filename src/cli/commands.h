#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

#include "cli/lib/cli.h"

/* Each command, defined in the file of its name or family. */
extern const struct command init_command, check_command, register_command, webhook_command,
    secret_command, list_command, show_command, token_command, api_command, deliveries_command,
    delivery_command, send_command, doctor_command, work_command, subscribe_command, queue_command,
    retry_command, prune_command, repair_command, verify_command, import_command;

/* Commands of another command, in a file of their own. */
extern const struct command secret_rotate_command, webhook_audit_command;

#endif
