#include "worker/target.h"

#include <string.h>

bool
target_is_most_specific(const char *name)
{
	return (*name && strpbrk(name, "/:") == NULL);
}
