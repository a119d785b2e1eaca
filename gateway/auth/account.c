#include "auth/account.h"

#include "base/utf8.h"

#include <idn2.h>
#include <stdio.h>

enum { LOCAL_MAX = 64, LABEL_MAX = 63, DOMAIN_MAX = 253 };

static bool is_allowed(struct span name)
{
    for (size_t i = 0; i < name.size; i++) {
        char c = name.data[i];
        if (((unsigned char)c <= ' ') || c == 0x7f || strchr("\\%!/\"<>,;:", c) != NULL)
            return false;
    }
    return utf8_is_valid(name);
}

/* Labels between dots: IDNA's mapping may have made anything of what was written. */
static bool is_domain(struct span name)
{
    if (name.size == 0 || name.size > DOMAIN_MAX || !is_allowed(name) ||
        memchr(name.data, '@', name.size) != NULL || name.data[name.size - 1] == '.')
        return false;
    while (name.size > 0 && name.data[0] != '.')
        (void)span_split(&name, '.');
    return name.size == 0;
}

/* Hot. Letters, digits and hyphens, none twice, are what IDNA leaves as it is, but for case: no
 * other name is known to be one without it. */
static bool is_plain(const char *domain)
{
    size_t label = 0;
    for (const char *at = domain; *at != '\0'; at++) {
        bool is_hyphen = *at == '-' && label > 0 && at[1] != '-' && at[1] != '.' && at[1] != '\0';
        if (*at == '.' && label > 0)
            label = 0;
        else if ((ascii_is_alnum(*at) || is_hyphen) && label < LABEL_MAX)
            label++;
        else
            return false;
    }
    return label > 0;
}

/* The domain in lower case, as A-labels. */
static int canonical_domain(const char *domain, char out[DOMAIN_MAX + 1])
{
    char *ascii = NULL;
    bool is_known = is_plain(domain);
    bool is_mapped = !is_known && idn2_lookup_u8((const uint8_t *)domain, (uint8_t **)&ascii,
                                                 IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL) == IDN2_OK;
    struct span found = span_of(is_known ? domain : is_mapped ? ascii : "");
    bool is_good = is_domain(found);
    if (is_good)
        for (size_t i = 0; i <= found.size; i++)
            out[i] = ascii_lower(found.data[i]);
    idn2_free(ascii);
    return is_good ? 0 : -1;
}

int account_canonical(struct span given, const char *realm, char out[ACCOUNT_SIZE])
{
    char domain[ACCOUNT_SIZE], ascii[DOMAIN_MAX + 1], local[LOCAL_MAX + 1];
    if (!is_allowed(given))
        return -1;
    bool has_realm = memchr(given.data, '@', given.size) != NULL;
    struct span name = span_split(&given, '@');
    if (name.size == 0 || name.size > LOCAL_MAX || given.size >= sizeof domain ||
        (given.size > 0 && memchr(given.data, '@', given.size) != NULL))
        return -1;
    (void)span_copy(name, local, sizeof local); /* fits */
    for (size_t i = 0; i < name.size; i++)
        local[i] = ascii_lower(local[i]);
    (void)span_copy(has_realm ? given : span_of(realm), domain, sizeof domain); /* fits */
    if (canonical_domain(domain, ascii) < 0)
        return -1;
    (void)snprintf(out, ACCOUNT_SIZE, "%s@%s", local, ascii); /* fits */
    return 0;
}

size_t account_address(struct span given, char out[ACCOUNT_SIZE])
{
    char domain[ACCOUNT_SIZE], ascii[DOMAIN_MAX + 1];
    const char *at = given.size == 0 ? NULL : memrchr(given.data, '@', given.size);
    if (at == NULL || given.size >= ACCOUNT_SIZE || memchr(given.data, '\0', given.size) != NULL)
        return 0;
    size_t local = (size_t)(at - given.data) + 1;
    (void)span_copy(span_make(at + 1, given.size - local), domain, sizeof domain); /* fits */
    struct span behind = span_of(canonical_domain(domain, ascii) == 0 ? ascii : domain);
    if (local + behind.size >= ACCOUNT_SIZE)
        return 0;
    memcpy(out, given.data, local);
    memcpy(out + local, behind.data, behind.size + 1);
    for (char *c = out; *c != '\0'; c++)
        *c = ascii_lower(*c);
    return local + behind.size;
}

int account_or_domain(struct span given, const char *realm, char out[ACCOUNT_SIZE])
{
    char one[ACCOUNT_SIZE];
    bool is_domain = given.size > 0 && given.data[0] == '@';
    int size =
        snprintf(one, sizeof one, "%s%.*s", is_domain ? "x" : "", (int)given.size, given.data);
    if (size >= (int)sizeof one || account_canonical(span_of(one), realm, out) < 0)
        return -1;
    if (is_domain)
        memmove(out, out + 1, strlen(out));
    return 0;
}

int account_login_name(enum login_name how, struct span given, const char *account,
                       const char *realm, char out[ACCOUNT_SIZE])
{
    char of_realm[ACCOUNT_SIZE];
    struct span told = how == LOGIN_NAME_GIVEN ? given : span_of(account);
    if (how == LOGIN_NAME_LOCAL) {
        struct span domain = told;
        told = span_split(&domain, '@');
        if (account_canonical(told, realm, of_realm) < 0 || strcmp(of_realm, account) != 0)
            return -1;
    }
    return span_copy(told, out, ACCOUNT_SIZE) == told.size ? 0 : -1;
}
