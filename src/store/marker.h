#ifndef STORE_MARKER_H
#define STORE_MARKER_H

/*
 * Markers: empty files in a directory of queue/, each called after a record that waits for something. The
 * marker is there before the record says so, under state_lock(); whoever finds one that the record does
 * not bear out removes it, under the lock as well.
 */

/** Set it on stable storage. record is a safe name. Returns 0, or -1 with errno set. */
int marker_set(int directory, const char *record);

/** The same, and the caller syncs the directory: also if the marker was there before. */
int marker_make(int directory, const char *record);

/** Remove it. One that stays behind is harmless, so trouble is only logged. */
void marker_clear(int directory, const char *record);

#endif
