#include "base/endpoint.h"

#include "base/setting.h"

#include <string.h>
#include <sys/un.h>

int endpoint_check_path(const char *path, struct error *why)
{
    struct sockaddr_un at;
    if (strlen(path) >= sizeof at.sun_path)
        return error_set(why, "\"%s\" is too long; a socket's path has at most %zu octets", path,
                         sizeof at.sun_path - 1);
    return setting_check_path(path, why);
}

int endpoint_parse(const char *text, struct endpoint *out, struct error *why)
{
    *out = (struct endpoint){.path = NULL};
    if (strncmp(text, "inet:", 5) == 0)
        return address_parse(text + 5, &out->to, why);
    if (strncmp(text, "unix:", 5) != 0)
        return error_set(why, "\"%s\" must be inet:HOST:PORT or unix:/PATH", text);
    out->path = text + 5;
    return endpoint_check_path(out->path, why);
}

int endpoint_check(const char *text, struct error *why)
{
    struct endpoint ignored;
    return endpoint_parse(text, &ignored, why);
}
