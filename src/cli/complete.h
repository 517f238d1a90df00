#ifndef CLI_COMPLETE_H
#define CLI_COMPLETE_H

/**
 * For completion in bash, zsh and fish: print what the last of these words can become, one candidate a
 * line, with a tab and its description where it has one. Nothing: the shell completes file names.
 * words: what stands behind "fluidhook"; the last may be empty. Returns the exit status.
 */
int complete(int n, char **words);

#endif
