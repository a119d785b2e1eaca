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

size_t received_write(const struct received *r, char out[RECEIVED_MAX])
{
    char from[400] = "", tls[120] = "";
    if (r->from != NULL)
        (void)snprintf(from, sizeof from, "from %.255s (%.64s)\r\n\t",
                       is_name(r->helo) ? r->helo : r->from, r->from); /* fits, as what follows */
    if (r->tls_version[0] != '\0')
        (void)snprintf(tls, sizeof tls, "\r\n\t(using %.16s with cipher %.64s)", r->tls_version,
                       r->cipher);
    int size = snprintf(out, RECEIVED_MAX,
                        "Received: %sby %.255s (Porteiro) with %s id %.32s%s;\r\n"
                        "\t%.64s\r\n",
                        from, r->by, type_of(r), r->id, tls, r->date);
    return size < 0 ? 0 : (size_t)size; /* the parts are cut so that it fits */
}

size_t missing_write(const struct headers *h, const struct received *r, char out[MISSING_MAX])
{
    int size = 0;
    if (h->count[HEADER_DATE] == 0)
        size = snprintf(out, MISSING_MAX, "Date: %.64s\r\n", r->date);
    if (h->count[HEADER_MESSAGE_ID] == 0)
        size += snprintf(out + size, MISSING_MAX - (size_t)size, "Message-ID: <%.32s@%.255s>\r\n",
                         r->id, r->by);
    return size < 0 ? 0 : (size_t)size; /* likewise */
}
