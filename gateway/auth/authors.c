#include "auth/authors.h"

/* As it is compared. What can't be compared is nobody's, and is told as it is. */
static bool is_own(const struct author *whose, struct span address, char out[ACCOUNT_SIZE])
{
    size_t size = account_address(address, out);
    if (size == 0)
        (void)span_copy(address, out, ACCOUNT_SIZE); /* cut to fit */
    return size > 0 && sender_is_own(whose->rule, span_of(whose->account), span_make(out, size));
}

static void keep(void *owner, struct span address)
{
    (void)span_copy(address, owner, ACCOUNT_SIZE); /* cut to fit: then it is nobody's */
}

void authors_look_at_envelope(const struct author *whose, struct span sender,
                              char address[ACCOUNT_SIZE], struct sender_finding *out)
{
    struct addresses a;
    char plain[ACCOUNT_SIZE];
    *out = (struct sender_finding){.where = "MAIL FROM", .address = address};
    if (sender.size == 0)
        return;
    addresses_begin(&a, keep, plain);
    addresses_take(&a, sender);
    bool is_plain = addresses_end(&a) == NULL;
    if (!is_own(whose, is_plain ? span_of(plain) : sender, address) || !is_plain)
        out->fault = SENDER_FOREIGN;
}

static void look_at_author(void *owner, enum author_field field, struct span address)
{
    struct authors *a = owner;
    if (a->is_foreign || is_own(&a->whose, address, a->address))
        return;
    a->is_foreign = true;
    a->field = field;
}

void authors_begin(struct authors *a, const struct author *whose)
{
    *a = (struct authors){.whose = *whose};
    header_addresses_begin(&a->header, look_at_author, a);
}

void authors_take(struct authors *a, struct span headers)
{
    header_addresses_take(&a->header, headers);
}

void authors_end(struct authors *a, struct sender_finding *out)
{
    const struct header_addresses *h = &a->header;
    *out = (struct sender_finding){.where = "From"};
    header_addresses_end(&a->header);
    if (h->wrong != NULL)
        *out = (struct sender_finding){
            .fault = SENDER_UNREADABLE, .where = author_names[h->wrong_field], .wrong = h->wrong};
    else if (h->count[AUTHOR_FROM] != 1)
        out->fault = h->count[AUTHOR_FROM] == 0 ? SENDER_MISSING : SENDER_REPEATED;
    else if (a->is_foreign)
        *out = (struct sender_finding){
            .fault = SENDER_FOREIGN, .where = author_names[a->field], .address = a->address};
}
