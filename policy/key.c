#include "policy/key.h"

#include "policy/policy.h"

#include <stdio.h>
#include <string.h>

struct key_text {
    char *out;
    size_t size;
    bool is_cut;
};

static void put(struct key_text *k, char c)
{
    if (k->size < STORE_KEY_MAX - 20)
        k->out[k->size++] = c;
    else
        k->is_cut = true;
}

/* In lower case; what would end a word is escaped, so that no two keys have the same text. */
static void put_value(struct key_text *k, struct span v)
{
    static const char digits[] = "0123456789abcdef";
    if (k->size > 0)
        put(k, ' ');
    for (size_t i = 0; i < v.size; i++) {
        unsigned char c = (unsigned char)v.data[i];
        if (c > ' ' && c != '%' && c != 0x7f) {
            put(k, ascii_lower((char)c));
        } else {
            put(k, '%');
            put(k, digits[c >> 4]);
            put(k, digits[c & 15]);
        }
    }
    if (v.size == 0)
        put(k, '-');
}

/* Behind a key that was cut: what tells it from others with the same beginning (FNV-1a). */
static void put_tail(struct key_text *k, const struct span *values, size_t count)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < count; i++) {
        for (size_t n = 0; n < values[i].size; n++)
            hash = (hash ^ (unsigned char)ascii_lower(values[i].data[n])) * UINT64_C(0x100000001b3);
        hash = (hash ^ 0x100) * UINT64_C(0x100000001b3);
    }
    k->size += (size_t)snprintf(k->out + k->size, 20, "~%016llx", (unsigned long long)hash);
}

static struct span domain_of(const char *address)
{
    const char *at = strrchr(address, '@');
    return span_of(at == NULL ? "" : at + 1);
}

/* An IPv4 address or a /64; /24 or /48: a host has as many addresses of IPv6 as it likes. */
static struct span network_text(const struct address *a, bool is_wide,
                                char out[ADDRESS_TEXT_SIZE + 8])
{
    struct address first = *a;
    bool is_v6 = address_is_v6(a);
    if (is_v6)
        memset(&first.v6.sin6_addr.s6_addr[is_wide ? 6 : 8], 0, is_wide ? 10 : 8);
    address_format_host(&first, out);
    if (!is_v6 && is_wide)
        memcpy(strrchr(out, '.'), ".0", sizeof ".0");
    strcat(out, is_v6 ? (is_wide ? "/48" : "/64") : is_wide ? "/24" : "");
    return span_of(out);
}

/* Returns false when it isn't known. */
static bool value_of(enum limit_key key, const struct policy_facts *f,
                     char text[ADDRESS_TEXT_SIZE + 8], struct span *out)
{
    const char *whole = NULL, *of_domain = NULL;
    switch (key) {
    case LIMIT_KEY_ACCOUNT: whole = f->account; break;
    case LIMIT_KEY_LOGIN: whole = f->login; break;
    case LIMIT_KEY_ACCOUNT_DOMAIN: of_domain = f->account; break;
    case LIMIT_KEY_SENDER: whole = f->sender; break;
    case LIMIT_KEY_SENDER_DOMAIN: of_domain = f->sender; break;
    case LIMIT_KEY_RECIPIENT: whole = f->recipient; break;
    case LIMIT_KEY_RECIPIENT_DOMAIN: of_domain = f->recipient; break;
    case LIMIT_KEY_LISTENER: whole = f->listener; break;
    case LIMIT_KEY_COUNTRY: whole = f->country; break;
    case LIMIT_KEY_GLOBAL: whole = "all"; break;
    case LIMIT_KEY_IP:
    case LIMIT_KEY_NETWORK:
        if (f->client == NULL)
            return false;
        *out = network_text(f->client, key == LIMIT_KEY_NETWORK, text);
        return true;
    case LIMIT_KEY_HEADER:
    case LIMIT_KEY_COUNT: break;
    }
    if (whole == NULL && of_domain == NULL)
        return false;
    *out = whole != NULL ? span_of(whole) : domain_of(of_domain);
    return true;
}

/* Returns false when the message hasn't it, unless that is a value too. */
static bool header_value(const struct limit_rule *r, const struct policy_facts *f, const char *name,
                         struct span *out)
{
    const char *value = f->header == NULL ? NULL : f->header(f->header_owner, name);
    *out = span_of(value == NULL ? "" : value);
    return value != NULL || r->missing == LIMIT_MISSING_EMPTY;
}

bool limit_lacks_header(const struct limit_rule *r, const struct policy_facts *f)
{
    struct span value;
    for (size_t i = 0; i < r->key_count && r->missing == LIMIT_MISSING_REJECT; i++)
        if (r->keys[i] == LIMIT_KEY_HEADER && !header_value(r, f, limit_header(r, i), &value))
            return true;
    return false;
}

/* Nobody is to be banned for what others do behind his address. */
static bool is_pair(const struct limit_rule *r, const struct policy_facts *f)
{
    return r->action == LIMIT_BAN && r->stage == STAGE_FAILURE && f->is_shared;
}

bool limit_is_of_account(const struct limit_rule *r, const struct policy_facts *f)
{
    return is_pair(r, f) || limit_has_key(r, LIMIT_KEY_ACCOUNT);
}

static size_t keys_of(const struct limit_rule *r, const struct policy_facts *f,
                      enum limit_key out[LIMIT_KEYS_MAX + 1])
{
    memcpy(out, r->keys, r->key_count * sizeof *out);
    if (!is_pair(r, f))
        return r->key_count;
    out[0] = LIMIT_KEY_IP;
    out[1] = LIMIT_KEY_ACCOUNT;
    return 2;
}

size_t limit_key_text(const struct limit_rule *r, const struct policy_facts *f,
                      char out[STORE_KEY_MAX])
{
    struct key_text k = {.out = out};
    enum limit_key keys[LIMIT_KEYS_MAX + 1];
    struct span values[LIMIT_KEYS_MAX + 1];
    char texts[LIMIT_KEYS_MAX + 1][ADDRESS_TEXT_SIZE + 8];
    size_t count = keys_of(r, f, keys);
    put_value(&k, span_of(r->name));
    for (size_t i = 0; i < count; i++) {
        bool is_known = keys[i] == LIMIT_KEY_HEADER
                            ? header_value(r, f, limit_header(r, i), &values[i])
                            : value_of(keys[i], f, texts[i], &values[i]);
        if (!is_known)
            return 0;
        put_value(&k, values[i]);
    }
    if (k.is_cut)
        put_tail(&k, values, count);
    return k.size;
}

/* What has to be different. */
static enum limit_key element_key(const struct limit_rule *r)
{
    switch ((enum limit_count)r->count) {
    case LIMIT_DISTINCT_NETWORKS: return LIMIT_KEY_NETWORK;
    case LIMIT_DISTINCT_COUNTRIES: return LIMIT_KEY_COUNTRY;
    default: return LIMIT_KEY_RECIPIENT;
    }
}

/* FNV-1a, in lower case: the store hashes it once more, with a key that nobody knows. */
uint64_t limit_element(const struct limit_rule *r, const struct policy_facts *f)
{
    char text[ADDRESS_TEXT_SIZE + 8];
    struct span value;
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    if (r->count == LIMIT_DISTINCT_CREDENTIALS)
        return f->credentials;
    if (!value_of(element_key(r), f, text, &value))
        return 0;
    for (size_t i = 0; i < value.size; i++)
        hash = (hash ^ (unsigned char)ascii_lower(value.data[i])) * UINT64_C(0x100000001b3);
    return hash;
}
