#include "net/tls.h"

#include "net/client_certificate.h"
#include "net/tls_context.h"
#include "net/tls_socket.h"
#include "net/tls_units.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

struct tls_contexts {
    struct tls_context *clients; /* one for each server behind, in the order of configuration */
    struct tls_context *doors;   /* one for each listener with TLS, in their order */
    struct tls_block *blocks;    /* one for each of the configuration's, in its order */
    size_t client_count, door_count, block_count;
    const struct config *config;
    struct ticket_keys tickets;
    bool has_tickets;
};

const char *tls_reason(void)
{
    const char *text = ERR_reason_error_string(ERR_peek_last_error());
    ERR_clear_error();
    return text == NULL ? "unknown error" : text;
}

SSL_CTX *tls_ctx_new(const SSL_METHOD *method)
{
    SSL_CTX *ctx = SSL_CTX_new(method);
    if (ctx == NULL)
        abort(); /* out of memory at the start */
    (void)SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                    SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    /* An end without close_notify is an end: no message is taken from what came before it. */
    (void)SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                       SSL_OP_CIPHER_SERVER_PREFERENCE |
                                       SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_read_ahead(ctx, 1);
    return ctx;
}

/* Makes it a connection at that door. Returns 0, or -1 without memory. */
static int stand_at(const struct tls_context *door, SSL *ssl)
{
    SSL_set_accept_state(ssl);
    if (SSL_set_app_data(ssl, (void *)(uintptr_t)door) != 1 ||
        SSL_set_session_id_context(ssl, door->session_context, sizeof door->session_context) != 1)
        return -1;
    return door->authorities == NULL ? 0 : client_authorities_ask(door->authorities, ssl);
}

struct ssl_st *tls_new(const struct tls_context *context, struct tls_socket *socket,
                       const struct address *peer)
{
    SSL *ssl = SSL_new(context->is_client ? context->ctx : context->block->ctx);
    bool is_good =
        ssl != NULL && tls_socket_join(socket, ssl) == 0 &&
        (context->is_client ? tls_client_begin(context, ssl, peer) : stand_at(context, ssl)) == 0;
    if (is_good)
        return ssl;
    SSL_free(ssl);
    return NULL;
}

/* ---- which certificate ---- */

static bool name_matches(const char *pattern, const char *name)
{
    const char *dot = strchr(name, '.');
    if (pattern[0] == '*' && pattern[1] == '.')
        return dot != NULL && span_equals_nocase(span_of(pattern + 1), dot);
    return span_equals_nocase(span_of(pattern), name);
}

static bool serves(const struct tls_block *block, const char *name)
{
    for (size_t i = 0; i < block->config->names.count; i++)
        if (name_matches(block->config->names.items[i], name))
            return true;
    if (block->config->names.count > 0)
        return false;
    for (size_t i = 0; i < block->leaf_count; i++)
        if (X509_check_host(block->leaves[i], name, 0, 0, NULL) == 1)
            return true;
    return false;
}

/* "default" after all others; NULL: none serves the name. */
static const struct tls_block *find_block(const struct tls_contexts *contexts, const char *name)
{
    const struct tls_block *found = NULL;
    for (size_t i = 0; i < contexts->block_count; i++) {
        const struct tls_block *block = &contexts->blocks[i];
        bool is_default = strcmp(block->config->name, "default") == 0;
        if (!serves(block, name) || (is_default && found != NULL))
            continue;
        found = block;
        if (!is_default)
            break;
    }
    return found;
}

/* Shows another block's certificate; what the door asks of its clients stays. */
static int switch_to(SSL *ssl, const struct tls_block *block)
{
    const struct tls_context *door = SSL_get_app_data(ssl);
    if (SSL_set_SSL_CTX(ssl, block->ctx) == NULL)
        return -1;
    return door->authorities == NULL ? 0 : client_authorities_keep(door->authorities, ssl);
}

/* The block that serves the name for which the client asked (RFC 6066 section 3). Without one the
 * listener's own stays. The version is chosen before the name is known, so that each context takes
 * what any block takes, and the block's own minimum is looked at here. */
static int on_server_name(SSL *ssl, int *alert, void *owner)
{
    const struct tls_contexts *contexts = owner;
    const struct tls_context *door = SSL_get_app_data(ssl);
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    const struct tls_block *found = name == NULL ? NULL : find_block(contexts, name);
    if (found != NULL && found->ctx != SSL_get_SSL_CTX(ssl) && switch_to(ssl, found) < 0) {
        *alert = SSL_AD_INTERNAL_ERROR;
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    }
    if (SSL_version(ssl) >= tls_block_version((found == NULL ? door->block : found)->config))
        return SSL_TLSEXT_ERR_OK;
    *alert = SSL_AD_PROTOCOL_VERSION;
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* "smtp" or "pop3", where a client says what it is about to speak (RFC 7301). Who offers other
 * protocols alone was led here by somebody else (ALPACA), and is told so. */
static int on_protocols(SSL *ssl, const unsigned char **chosen, unsigned char *chosen_size,
                        const unsigned char *offered, unsigned size, void *owner)
{
    const struct tls_context *door = SSL_get_app_data(ssl);
    const char *own = door->listener->role == ROLE_POP3 ? "pop3" : "smtp";
    (void)owner;
    for (unsigned at = 0, next; at < size; at = next) {
        next = at + 1 + offered[at];
        if (next <= size &&
            span_equals(span_make((const char *)offered + at + 1, offered[at]), own)) {
            *chosen = offered + at + 1;
            *chosen_size = offered[at];
            return SSL_TLSEXT_ERR_OK;
        }
    }
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* ---- loading ---- */

static void add_doors(struct tls_contexts *contexts, const struct config *c)
{
    for (size_t i = 0; i < c->listener_count; i++) {
        const struct listener_config *l = &c->listeners[i];
        if (l->tls_block == NULL)
            continue;
        struct tls_context *door = &contexts->doors[contexts->door_count++];
        door->listener = l;
        door->block = &contexts->blocks[l->tls_block - c->tls];
        if (EVP_Q_digest(NULL, "SHA256", NULL, l->name, strlen(l->name), door->session_context,
                         NULL) != 1)
            abort(); /* out of memory at the start */
    }
}

/* A block that is wrong or not whole is freed; one that is good takes the place of the old. */
static int take_block(struct tls_contexts *contexts, size_t i, const struct tls_texts *texts,
                      struct errors *errors)
{
    size_t before = errors_count(errors);
    const char *files[TLS_TEXTS_MAX];
    struct tls_block fresh = {.config = &contexts->config->tls[i]}, *old = &contexts->blocks[i];
    tls_block_load(&fresh, contexts->config, texts, errors);
    bool is_whole = 2 * fresh.leaf_count == tls_unit_files(contexts->config, i, files);
    if (errors_count(errors) == before && is_whole) {
        (void)SSL_CTX_set_tlsext_servername_callback(fresh.ctx, on_server_name);
        (void)SSL_CTX_set_tlsext_servername_arg(fresh.ctx, contexts);
        SSL_CTX_set_alpn_select_cb(fresh.ctx, on_protocols, NULL);
        if (contexts->has_tickets)
            ticket_keys_use(&contexts->tickets, fresh.ctx);
        const struct tls_block was = *old;
        *old = fresh;
        fresh = was;
    } else {
        is_whole = false;
    }
    tls_block_free(&fresh);
    return is_whole ? 0 : -1;
}

static int take_authorities(struct tls_contexts *contexts, const struct listener_config *l,
                            const struct tls_texts *texts, struct errors *errors)
{
    struct tls_context *door = contexts->doors;
    struct client_authorities *fresh = client_authorities_load(l, texts, errors);
    while (door->listener != l)
        door++;
    if (fresh == NULL)
        return -1;
    client_authorities_free(&door->authorities);
    door->authorities = fresh;
    return 0;
}

int tls_contexts_take(struct tls_contexts *contexts, size_t unit, const struct tls_texts *texts,
                      struct errors *errors)
{
    const char *files[TLS_TEXTS_MAX];
    const struct listener_config *l = tls_unit_listener(contexts->config, unit);
    if (unit >= tls_unit_count(contexts->config) || contexts->block_count == 0)
        return -1; /* of another configuration, or forgotten */
    if (l == NULL)
        return take_block(contexts, unit, texts, errors);
    return tls_unit_files(contexts->config, unit, files) == 0
               ? 0
               : take_authorities(contexts, l, texts, errors);
}

static void load_unit(struct tls_contexts *contexts, size_t unit, struct errors *errors)
{
    struct tls_texts texts;
    tls_unit_read(contexts->config, unit, &texts, errors);
    (void)tls_contexts_take(contexts, unit, &texts, errors); /* what is wrong is in `errors` */
    tls_texts_clear(&texts);
}

struct tls_contexts *tls_prepare(const struct config *config, struct errors *errors)
{
    size_t before = errors_count(errors);
    struct tls_contexts *contexts = calloc(1, sizeof *contexts);
    if (contexts == NULL ||
        (contexts->blocks = calloc(config->tls_count + 1, sizeof *contexts->blocks)) == NULL ||
        (contexts->doors = calloc(config->listener_count + 1, sizeof *contexts->doors)) == NULL)
        abort(); /* out of memory at the start */
    contexts->config = config;
    contexts->clients = tls_client_prepare(config, errors, &contexts->client_count);
    contexts->block_count = config->tls_count;
    add_doors(contexts, config);
    for (size_t unit = 0; unit < tls_unit_count(config); unit++)
        load_unit(contexts, unit, errors);
    if (errors_count(errors) > before)
        tls_contexts_destroy(&contexts);
    return contexts;
}

void tls_contexts_each_certificate(const struct tls_contexts *contexts, certificate_fn *fn,
                                   void *owner)
{
    for (size_t i = 0; i < contexts->block_count; i++)
        for (size_t n = 0; n < contexts->blocks[i].leaf_count; n++)
            fn(owner, contexts->blocks[i].config->certificate.items[n],
               tls_days_left(contexts->blocks[i].leaves[n]));
}

void tls_contexts_set_tickets(struct tls_contexts *contexts, const struct ticket_keys *keys)
{
    contexts->tickets = *keys;
    contexts->has_tickets = true;
    for (size_t i = 0; i < contexts->block_count; i++)
        ticket_keys_use(&contexts->tickets, contexts->blocks[i].ctx);
}

void tls_contexts_forget_doors(struct tls_contexts *contexts)
{
    OPENSSL_cleanse(&contexts->tickets, sizeof contexts->tickets);
    for (size_t i = 0; i < contexts->block_count; i++)
        tls_block_free(&contexts->blocks[i]);
    for (size_t i = 0; i < contexts->door_count; i++)
        client_authorities_free(&contexts->doors[i].authorities);
    contexts->block_count = contexts->door_count = 0;
}

void tls_contexts_forget_keys(struct tls_contexts *contexts)
{
    tls_contexts_forget_doors(contexts);
    tls_client_free(contexts->clients, contexts->client_count);
    contexts->clients = NULL;
    contexts->client_count = 0;
}

void tls_contexts_destroy(struct tls_contexts **contexts)
{
    struct tls_contexts *all = *contexts;
    if (all == NULL)
        return;
    tls_contexts_forget_keys(all);
    free(all->blocks);
    free(all->doors);
    free(all);
    *contexts = NULL;
}

const struct tls_context *tls_server_context(const struct tls_contexts *contexts,
                                             const struct listener_config *listener)
{
    for (size_t i = 0; i < contexts->door_count; i++)
        if (contexts->doors[i].listener == listener)
            return &contexts->doors[i];
    return NULL;
}

const struct tls_context *tls_client_context(const struct tls_contexts *contexts,
                                             const struct server_config *server)
{
    for (size_t i = 0; i < contexts->client_count; i++)
        if (contexts->clients[i].server == server)
            return &contexts->clients[i];
    return NULL;
}

const struct tls_context *tls_redis_context(const struct tls_contexts *contexts)
{
    for (size_t i = 0; i < contexts->client_count; i++)
        if (contexts->clients[i].is_redis)
            return &contexts->clients[i];
    return NULL;
}
