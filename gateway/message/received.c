#include "message/received.h"

#include "message/headers.h"

#include <stdio.h>

/* A host's name or an address literal: what else a client calls itself could end a comment, a field
 * or a line. */
static bool is_name(const char *helo)
{
    return helo != NULL && helo[0] != '\0' && strlen(helo) <= 255 &&
           strspn(helo, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._:[]") ==
               strlen(helo);
}

/* RFC 3848, RFC 6531 section 4.3. */
static const char *type_of(const struct received *r)
{
    static const char *const types[2][4] = {
        {"ESMTP", "ESMTPA", "ESMTPS", "ESMTPSA"},
        {"UTF8SMTP", "UTF8SMTPA", "UTF8SMTPS", "UTF8SMTPSA"},
    };
    bool is_secure = r->tls_version[0] != '\0';
    if (!r->is_extended && !r->is_account && !is_secure)
        return "SMTP";
    return types[r->is_smtputf8][2 * is_secure + r->is_account];
}

/* Writes `text`, or as much of it as it may be long, and returns where it ends. */
static char *put(char *at, const char *text, size_t max)
{
    size_t size = strnlen(text, max);
    memcpy(at, text, size);
    return at + size;
}

/* A constant text. */
static char *put_all(char *at, const char *text)
{
    return put(at, text, RECEIVED_MAX);
}

size_t received_write(const struct received *r, char out[RECEIVED_MAX])
{
    char *at = put_all(out, "Received: "); /* no printf: it is written for each message */
    if (r->from != NULL) {
        at = put_all(at, "from ");
        at = put(at, is_name(r->helo) ? r->helo : r->from, 255);
        at = put(put_all(at, " ("), r->from, 64);
        at = put_all(at, ")\r\n\t");
    }
    at = put(put_all(at, "by "), r->by, 255);
    at = put_all(put_all(at, " (Porteiro) with "), type_of(r));
    at = put(put_all(at, " id "), r->id, 32);
    if (r->tls_version[0] != '\0') {
        at = put(put_all(at, "\r\n\t(using "), r->tls_version, 16);
        at = put(put_all(at, " with cipher "), r->cipher, 64);
        at = put_all(at, ")");
    }
    at = put(put_all(at, ";\r\n\t"), r->date, 64);
    at = put_all(at, "\r\n"); /* the parts are cut so that it fits: 850 octets at most */
    *at = '\0';
    return (size_t)(at - out);
}

size_t missing_write(const struct headers *h, const struct received *r, char out[MISSING_MAX])
{
    int size = 0;
    if (h->count[HEADER_DATE] == 0)
        size = snprintf(out, MISSING_MAX, "Date: %.64s\r\n", r->date);
    if (h->count[HEADER_MESSAGE_ID] == 0)
        size += snprintf(out + size, MISSING_MAX - (size_t)size, "Message-ID: <%.32s@%.255s>\r\n",
                         r->id, r->by);
    return size < 0 ? 0 : (size_t)size; /* the parts are cut so that it fits */
}
