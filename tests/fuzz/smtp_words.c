/* What stands behind the verb: paths, parameters, domains, xtext. */
#include "base/utf8.h"
#include "protocol/smtp/parameters.h"
#include "protocol/smtp/path.h"
#include "protocol/smtp/xtext.h"

#include "fuzz.h"

static void check_path(struct span input)
{
    struct span rest = input, again;
    struct smtp_path p, q;
    char copy[300];
    if (smtp_path_parse(&rest, &p) != NULL)
        return;
    size_t taken = input.size - rest.size;
    must(taken >= 2 && input.data[0] == '<' && input.data[taken - 1] == '>',
         "a path stands between < and >");
    must(lies_in(p.address, span_make(input.data, taken)), "a path lies in the input");
    must(is_clean(p.address, ""), "a path has no control character");
    must(p.local.size <= 64 && p.address.size <= 254, "RFC 5321 section 4.5.3.1 bounds a path");
    must(p.domain.size == 0
             ? p.address.size == p.local.size
             : p.address.size == p.local.size + 1 + p.domain.size && smtp_domain_is_valid(p.domain),
         "an address is a local part, @ and a domain");
    must(utf8_is_valid(p.address) && p.is_utf8 == utf8_has_non_ascii(p.address),
         "an address is UTF-8, and it is told when it is more than ASCII");
    again = span_make(
        copy, (size_t)snprintf(copy, sizeof copy, "<%.*s>", (int)p.address.size, p.address.data));
    must(smtp_path_parse(&again, &q) == NULL && again.size == 0 &&
             q.address.size == p.address.size && q.local.size == p.local.size,
         "what is sent on is read as the same");
}

/* Everything that was taken has its extension, and is one word. */
static void check_parameters(struct span input, unsigned offered, bool is_mail)
{
    struct smtp_parameters p;
    struct span wrong = span_make(input.data, 0);
    enum smtp_parameters_result result =
        is_mail ? smtp_parameters_parse_mail(input, offered, &p, &wrong)
                : smtp_parameters_parse_rcpt(input, offered, &p, &wrong);
    if (result != SMTP_PARAMETERS_GOOD) {
        must(lies_in(wrong, input) && wrong.size > 0, "what is refused is named");
        return;
    }
    const struct {
        struct span value;
        unsigned extension;
        bool is_of_mail;
    } all[] = {{p.body, SMTP_8BITMIME, true},
               {p.ret, SMTP_DSN, true},
               {p.envid, SMTP_DSN, true},
               {p.notify, SMTP_DSN, false},
               {p.orcpt, SMTP_DSN, false}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        must(lies_in(all[i].value, input), "a parameter lies in the input");
        must(memchr(all[i].value.data == NULL ? "" : all[i].value.data, ' ', all[i].value.size) ==
                 NULL,
             "a parameter is one word");
        must(all[i].value.size == 0 ||
                 ((offered & all[i].extension) != 0 && all[i].is_of_mail == is_mail),
             "a parameter belongs to what was offered");
    }
    must(xtext_is_valid(p.envid), "ENVID is xtext");
    must(p.size <= INT64_MAX && (p.size == 0 || (offered & SMTP_SIZE) != 0), "SIZE is a number");
    must(!p.is_smtputf8 || (offered & SMTP_SMTPUTF8) != 0, "SMTPUTF8 was offered");
}

static int digit_of(char c)
{
    return c <= '9' ? c - '0' : c - 'A' + 10;
}

static void check_xtext(struct span input)
{
    char encoded[3 * 512 + 1];
    if (input.size > 512)
        input.size = 512;
    size_t size = xtext_encode(input, encoded, sizeof encoded), used = 0;
    must(encoded[size] == '\0' && size >= input.size, "three times the room is enough");
    must(xtext_is_valid(span_make(encoded, size)) == (is_clean(input, "") && is_ascii(input)),
         "what is encoded is xtext, and stands for printable ASCII or is refused");
    for (size_t i = 0; i < size; used++) {
        bool is_coded = encoded[i] == '+';
        char c = is_coded ? (char)(digit_of(encoded[i + 1]) << 4 | digit_of(encoded[i + 2]))
                          : encoded[i];
        must(used < input.size && c == input.data[used], "decoded, it is what it was");
        i += is_coded ? 3 : 1;
    }
    must(used == input.size, "decoded, it is what it was");
    for (size_t room = 0; room <= size && room < 8; room++)
        must(xtext_encode(input, encoded, room) == 0 || size < room, "it doesn't fit, or does");
}

static void check_domain(struct span input)
{
    if (smtp_domain_is_valid(input))
        must(input.size <= 255 && is_clean(input, " @<>"), "a domain is one word");
}

/* Memory of exactly that size: a sanitizer sees a look past its end. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = span_make((const char *)data, size);
    unsigned what = take_byte(&input), offered = take_byte(&input) * 4;
    struct leftover copy = {NULL, {NULL, 0}};
    input = *leftover_join(&copy, input);
    switch (what % 5) {
    case 0: check_path(input); break;
    case 1: check_parameters(input, offered, true); break;
    case 2: check_parameters(input, offered, false); break;
    case 3: check_xtext(input); break;
    default: check_domain(input); break;
    }
    leftover_drop(&copy);
    return 0;
}
