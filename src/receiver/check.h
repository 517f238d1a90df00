#ifndef RECEIVER_CHECK_H
#define RECEIVER_CHECK_H

/**
 * --check: whether a receiver with this configuration could accept deliveries now: the configuration,
 * the log file, the secrets, the state directory, free space. Says on standard error what is wrong, or
 * that nothing is, as `nginx -t` does. As root it looks as the owner of the state directory. Changes
 * nothing but to adopt a state directory from before 0.2, as a receiver would.
 * Returns the exit status, 0 or 2.
 */
int check(const char *conf_file);

#endif
