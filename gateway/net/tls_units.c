#include "net/tls_units.h"

size_t tls_unit_count(const struct config *c)
{
    return c->tls_count + c->listener_count;
}

const struct tls_config *tls_unit_block(const struct config *c, size_t unit)
{
    return unit < c->tls_count ? &c->tls[unit] : NULL;
}

const struct listener_config *tls_unit_listener(const struct config *c, size_t unit)
{
    bool is = unit >= c->tls_count && unit < tls_unit_count(c);
    return is ? &c->listeners[unit - c->tls_count] : NULL;
}

static size_t block_files(const struct tls_config *t, const char *files[TLS_TEXTS_MAX])
{
    size_t count = 0;
    for (size_t i = 0; i < t->certificate.count && i < t->key.count && count < TLS_TEXTS_MAX; i++) {
        files[count++] = t->certificate.items[i];
        files[count++] = t->key.items[i];
    }
    return count;
}

static size_t listener_files(const struct listener_config *l, const char *files[TLS_TEXTS_MAX])
{
    if (l->tls_block == NULL || l->client_certificate == CLIENT_CERTIFICATE_NONE)
        return 0;
    files[0] = l->client_ca;
    files[1] = l->client_crl;
    return l->client_crl[0] == '\0' ? 1 : 2;
}

size_t tls_unit_files(const struct config *c, size_t unit, const char *files[TLS_TEXTS_MAX])
{
    const struct listener_config *l = tls_unit_listener(c, unit);
    return l == NULL ? block_files(&c->tls[unit], files) : listener_files(l, files);
}

void tls_unit_read(const struct config *c, size_t unit, struct tls_texts *out,
                   struct errors *errors)
{
    static const char *const block_keys[] = {"certificate", "key"};
    static const char *const listener_keys[] = {"client_ca", "client_crl"};
    const char *files[TLS_TEXTS_MAX];
    const struct tls_config *t = tls_unit_block(c, unit);
    const struct listener_config *l = tls_unit_listener(c, unit);
    size_t count = tls_unit_files(c, unit, files);
    struct error why;
    *out = (struct tls_texts){.texts = {{NULL, 0}}};
    for (size_t i = 0; i < count; i++)
        if (tls_texts_read(out, i, files[i], &why) < 0)
            errors_add_at(errors, t == NULL ? &l->place : &t->place, "%s.%s.%s: %s: %s",
                          t == NULL ? "listeners" : "tls", t == NULL ? l->name : t->name,
                          t == NULL ? listener_keys[i] : block_keys[i % 2], files[i], why.text);
}
