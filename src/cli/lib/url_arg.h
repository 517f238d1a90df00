#ifndef CLI_LIB_URL_ARG_H
#define CLI_LIB_URL_ARG_H

/** Whether an argument is a URL that Fluid can deliver to. Returns 0, or -1 after saying what is wrong. */
int url_arg_check(const char *url);

#endif
