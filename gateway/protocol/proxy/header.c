/* Numbers and names are those of HAProxy's proxy-protocol.txt, section 2.2. */
#include "protocol/proxy/header.h"

#include <assert.h>

enum {
    COMMAND_LOCAL = 0x20, /* with the version in front */
    COMMAND_PROXY = 0x21,
    FAMILY_NONE = 0x00,
    FAMILY_TCP4 = 0x11,
    FAMILY_TCP6 = 0x21,
    TLV_UNIQUE_ID = 0x05,
    TLV_SSL = 0x20,
    TLV_SSL_VERSION = 0x21,
    TLV_SSL_CN = 0x22,
    TLV_SSL_CIPHER = 0x23,
    CLIENT_SSL = 0x01,
    CLIENT_CERTIFICATE = 0x02 | 0x04, /* shown in this connection, or in the session it resumes */
    HEAD_SIZE = 16,
};

struct writer {
    char *out;
    size_t used;
};

static void put(struct writer *w, const void *bytes, size_t size)
{
    assert(size <= PROXY_HEADER_MAX - w->used); /* it is made for the longest */
    memcpy(w->out + w->used, bytes, size);
    w->used += size;
}

static void put_octet(struct writer *w, unsigned value)
{
    const unsigned char octet = (unsigned char)value;
    put(w, &octet, 1);
}

/* The length of what follows it, at `at`, once that is written. */
static void set_length(struct writer *w, size_t at)
{
    size_t size = w->used - at - 2;
    w->out[at] = (char)(size >> 8);
    w->out[at + 1] = (char)(size & 0xff);
}

static size_t begin_tlv(struct writer *w, unsigned type)
{
    put_octet(w, type);
    put(w, "\0\0", 2);
    return w->used - 2;
}

static void put_text(struct writer *w, unsigned type, const char *text, size_t max)
{
    size_t size = strlen(text);
    if (size == 0 || size > max)
        return;
    size_t length = begin_tlv(w, type);
    put(w, text, size);
    set_length(w, length);
}

static void put_tls(struct writer *w, const struct proxy_client *c)
{
    bool has_certificate = c->certificate[0] != '\0';
    if (c->tls_version[0] == '\0')
        return;
    size_t length = begin_tlv(w, TLV_SSL);
    put_octet(w, CLIENT_SSL | (has_certificate ? CLIENT_CERTIFICATE : 0));
    put(w, has_certificate ? "\0\0\0\0" : "\0\0\0\1", 4); /* 0: a certificate was verified */
    put_text(w, TLV_SSL_VERSION, c->tls_version, PROXY_TEXT_MAX);
    put_text(w, TLV_SSL_CN, c->certificate, PROXY_TEXT_MAX);
    put_text(w, TLV_SSL_CIPHER, c->cipher, PROXY_TEXT_MAX);
    set_length(w, length);
}

/* An IPv4 address beside an IPv6 one is written within IPv6. */
static void put_v6(struct writer *w, const struct address *a)
{
    static const unsigned char prefix[12] = {[10] = 0xff, [11] = 0xff};
    if (a->any.sa_family == AF_INET6) {
        put(w, &a->v6.sin6_addr, 16);
    } else {
        put(w, prefix, sizeof prefix);
        put(w, &a->v4.sin_addr, 4);
    }
}

static void put_v4(struct writer *w, const struct address *a)
{
    if (a->any.sa_family == AF_INET6)
        put(w, &a->v6.sin6_addr.s6_addr[12], 4);
    else
        put(w, &a->v4.sin_addr, 4);
}

static void put_port(struct writer *w, const struct address *a)
{
    put_octet(w, address_port(a) >> 8);
    put_octet(w, address_port(a) & 0xff);
}

static struct writer begin(char *out, unsigned command, unsigned family)
{
    struct writer w = {.out = out};
    put(&w, "\r\n\r\n\0\r\nQUIT\n", 12);
    put_octet(&w, command);
    put_octet(&w, family);
    put(&w, "\0\0", 2); /* the length */
    return w;
}

size_t proxy_header_write(const struct proxy_client *c, char out[PROXY_HEADER_MAX])
{
    bool is_v6 = address_is_v6(c->from) || address_is_v6(c->to);
    void (*put_address)(struct writer *, const struct address *) = is_v6 ? put_v6 : put_v4;
    struct writer w = begin(out, COMMAND_PROXY, is_v6 ? FAMILY_TCP6 : FAMILY_TCP4);
    put_address(&w, c->from);
    put_address(&w, c->to);
    put_port(&w, c->from);
    put_port(&w, c->to);
    put_text(&w, TLV_UNIQUE_ID, c->id, PROXY_ID_MAX);
    put_tls(&w, c);
    set_length(&w, HEAD_SIZE - 2);
    return w.used;
}

size_t proxy_header_write_local(char out[PROXY_HEADER_MAX])
{
    return begin(out, COMMAND_LOCAL, FAMILY_NONE).used;
}
