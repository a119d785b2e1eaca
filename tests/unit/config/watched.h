/* A watched file of the configuration's folder, as control makes one sealed list of it. */
#pragma once

#include "base/sealed.h"
#include "config/folder.h"

#include <fcntl.h>

/* Makes a list of the open file, which is told of by that path; as *_build of the room says. */
typedef int watched_fn(int file, const char *path, size_t *count);

/* Of a file of that name with this text; returns how many lines count, or -1. */
static inline int watched_list(const char *name, const char *text, watched_fn *make,
                               struct sealed *out)
{
    struct error why;
    size_t count = 0;
    char path[512];
    folder_write(name, text);
    (void)snprintf(path, sizeof path, "%s", folder_path(name)); /* fits */
    int file = open(path, O_RDONLY | O_CLOEXEC);
    int fd = make(file, path, &count);
    (void)close(file); /* was only read */
    if (fd < 0)
        return -1;
    ck_assert_int_eq(sealed_map(out, fd, &why), 0);
    ck_assert_int_eq(close(fd), 0);
    return (int)count;
}
