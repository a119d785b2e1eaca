#include "base/password.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_MAX = 8192 };

/* What is read, as it stands in the file. */
static int check(struct span text, struct error *why)
{
    if (text.size == 0)
        return error_set(why, "it is empty; write the password into it, and nothing else");
    for (size_t i = 0; i < text.size; i++)
        if ((unsigned char)text.data[i] < ' ' || text.data[i] == 0x7f)
            return error_set(why, "it holds more than one line, or a control character");
    return 0;
}

static struct span without_line_end(struct span text)
{
    if (text.size > 0 && text.data[text.size - 1] == '\n')
        text.size--;
    if (text.size > 0 && text.data[text.size - 1] == '\r')
        text.size--;
    return text;
}

int password_read(const char *file, struct buffer *out, struct error *why)
{
    char text[FILE_MAX];
    int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return error_set(why, "%s: %s", file, strerror(errno));
    ssize_t size = read(fd, text, sizeof text);
    int failed = size < 0 ? error_set(why, "%s", strerror(errno)) : 0;
    (void)close(fd); /* nothing was written */
    if (!failed) {
        struct span all = without_line_end(span_make(text, (size_t)size));
        failed = check(all, why);
        if (!failed && buffer_append(out, all) < 0)
            failed = error_set(why, "it is longer than %zu octets", out->limit);
    }
    explicit_bzero(text, sizeof text);
    return failed ? error_prefix(why, "%s", file) : 0;
}

bool password_is_public(const char *file)
{
    struct stat s;
    return stat(file, &s) == 0 && (s.st_mode & S_IROTH) != 0;
}
