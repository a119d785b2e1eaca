#include "protocol/delegation/request.h"

#include "protocol/smtp/xtext.h"

#include <inttypes.h>

enum { XTEXT_ROOM = 1024 };

struct attribute {
    const char *name;
    enum { TEXT, XTEXT, NUMBER, FIXED } kind;
    size_t offset;    /* of the member */
    const char *text; /* FIXED */
};

#define OF(member) .offset = offsetof(struct delegation_request, member)

/* In the order in which Postfix 3.12 tells them: no server goes by it, people who compare do. */
static const struct attribute attributes[] = {
    {"request", FIXED, .text = "smtpd_access_policy"},
    {"protocol_state", TEXT, OF(protocol_state)},
    {"protocol_name", TEXT, OF(protocol_name)},
    {"client_address", TEXT, OF(client_address)},
    {"client_name", TEXT, OF(client_name)},
    {"client_port", NUMBER, OF(client_port)},
    {"reverse_client_name", TEXT, OF(reverse_client_name)},
    {"server_address", TEXT, OF(server_address)},
    {"server_port", NUMBER, OF(server_port)},
    {"helo_name", TEXT, OF(helo_name)},
    {"sender", TEXT, OF(sender)},
    {"recipient", TEXT, OF(recipient)},
    {"recipient_count", NUMBER, OF(recipient_count)},
    {"queue_id", TEXT, OF(queue_id)},
    {"instance", TEXT, OF(instance)},
    {"size", NUMBER, OF(size)},
    {"etrn_domain", FIXED, .text = ""},
    {"stress", FIXED, .text = ""},
    {"sasl_method", TEXT, OF(sasl_method)},
    {"sasl_username", TEXT, OF(sasl_username)},
    {"sasl_sender", TEXT, OF(sasl_sender)},
    {"ccert_subject", XTEXT, OF(ccert_subject)},
    {"ccert_issuer", XTEXT, OF(ccert_issuer)},
    {"ccert_fingerprint", TEXT, OF(ccert_fingerprint)},
    {"ccert_pubkey_fingerprint", TEXT, OF(ccert_pubkey_fingerprint)},
    {"encryption_protocol", TEXT, OF(encryption_protocol)},
    {"encryption_cipher", TEXT, OF(encryption_cipher)},
    {"encryption_keysize", NUMBER, OF(encryption_keysize)},
    {"tls_sni", TEXT, OF(tls_sni)},
    {"policy_context", FIXED, .text = ""},
    {"compatibility_level", FIXED, .text = "3.8"}, /* whose attributes these are */
    {"mail_version", TEXT, OF(mail_version)},
};

static int append_clean(const char *text, struct buffer *out)
{
    int failed = 0;
    while (*text != '\0') {
        size_t size = 0;
        while ((unsigned char)text[size] >= ' ' && text[size] != 0x7f)
            size++;
        failed |= buffer_append(out, span_make(text, size));
        text += size;
        if (*text != '\0') {
            failed |= buffer_append(out, span_of("?"));
            text++;
        }
    }
    return failed;
}

static int append_value(const struct attribute *a, const char *text, struct buffer *out)
{
    char coded[XTEXT_ROOM];
    if (a->kind == XTEXT)
        return buffer_append(
            out, span_make(coded, xtext_encode(span_of(text), coded, sizeof coded))); /* or "" */
    return append_clean(text, out);
}

static int append(const struct delegation_request *r, const struct attribute *a, struct buffer *out)
{
    const char *member = (const char *)r + a->offset, *text = a->text;
    uint64_t number;
    if (a->kind == NUMBER) {
        memcpy(&number, member, sizeof number);
        return buffer_printf(out, "%s=%" PRIu64 "\n", a->name, number);
    }
    if (a->kind != FIXED)
        memcpy(&text, member, sizeof text);
    return buffer_append(out, span_of(a->name)) | buffer_append(out, span_of("=")) |
           append_value(a, text == NULL ? "" : text, out) | buffer_append(out, span_of("\n"));
}

int delegation_request_write(const struct delegation_request *r, struct buffer *out)
{
    int failed = 0;
    for (size_t i = 0; i < sizeof attributes / sizeof *attributes; i++)
        failed |= append(r, &attributes[i], out);
    return failed | buffer_append(out, span_of("\n"));
}
