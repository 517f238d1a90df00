#ifndef DELIVERY_LIFECYCLE_READ_H
#define DELIVERY_LIFECYCLE_READ_H

#include "delivery/delivery.h"
#include "store/lifecycle.h"

/**
 * What an install or uninstall says about its installation. Who says so, when, and which record it is about
 * stays empty: that is for the caller. The texts are valid until delivery_free().
 */
void lifecycle_read(const struct delivery *d, struct lifecycle_event *out);

#endif
