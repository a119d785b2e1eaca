/* Are any left open? */
#pragma once

#include "support/test.h"

#include <dirent.h>

/* How many this process has. */
static inline unsigned open_descriptors(void)
{
    unsigned count = 0;
    DIR *all = opendir("/proc/self/fd");
    ck_assert_ptr_nonnull(all);
    while (readdir(all) != NULL)
        count++;
    (void)closedir(all); /* it was only read */
    return count;
}
