/* What a server behind says over SMTP, to a client that waits for replies. First two bytes: for how
 * many, and where the input is cut. */
#include "protocol/smtp/capabilities.h"
#include "protocol/smtp/client.h"

#include "fuzz.h"

enum { TEXT_MAX = SMTP_REPLY_TEXT_MAX, LINES_MAX = 100 };

/* "5.1.1" of the class of `code`, as RFC 3463 section 2 writes it. */
static bool is_enhanced(const char *text, int code)
{
    unsigned class, subject, detail;
    int used = 0;
    return sscanf(text, "%1u.%3u.%3u%n", &class, &subject, &detail, &used) == 3 &&
           text[used] == '\0' && (int)class == code / 100;
}

/* The words of a reply to EHLO, found by another way: on a line of its own behind the first. */
static bool has_keyword(struct span text, const char *keyword)
{
    (void)span_split(&text, '\n');
    while (text.size > 0) {
        struct span line = span_split(&text, '\n');
        if (span_starts_nocase(line, keyword) &&
            (line.size == strlen(keyword) || line.data[strlen(keyword)] == ' ' ||
             (line.data[strlen(keyword)] == '=' && span_starts_nocase(line, "AUTH=")))) /* of old */
            return true;
    }
    return false;
}

static void check_capabilities(struct span text)
{
    const struct smtp_capabilities c = smtp_capabilities_parse(text);
    static const struct {
        const char *keyword;
        unsigned extension;
    } all[] = {{"PIPELINING", SMTP_PIPELINING}, {"STARTTLS", SMTP_STARTTLS}, {"DSN", SMTP_DSN},
               {"8BITMIME", SMTP_8BITMIME},     {"SMTPUTF8", SMTP_SMTPUTF8}, {"AUTH", SMTP_AUTH},
               {"CHUNKING", SMTP_CHUNKING},     {"XCLIENT", SMTP_XCLIENT},   {"SIZE", SMTP_SIZE}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        must(((c.extensions & all[i].extension) != 0) == has_keyword(text, all[i].keyword),
             "a server has the extensions that it names");
    must(c.size == 0 || (c.extensions & SMTP_SIZE) != 0, "a limit comes with SIZE");
    must(c.mechanisms == 0 || (c.extensions & SMTP_AUTH) != 0, "mechanisms come with AUTH");
    must(c.xforward == 0 || (c.extensions & SMTP_XFORWARD) != 0, "attributes come with XFORWARD");
    must(c.xclient == 0 || (c.extensions & SMTP_XCLIENT) != 0, "attributes come with XCLIENT");
}

/* Whatever somebody calls himself, XCLIENT is one line that says it. */
static void check_xclient(struct span text, unsigned wanted)
{
    char value[600], out[513];
    unsigned next = 0, commands = 0;
    struct xclient_values values;
    (void)span_copy(text, value, sizeof value); /* or the front of it */
    for (size_t i = 0; i < XCLIENT_COUNT; i++)
        values.value[i] = i == XCLIENT_ADDR ? "192.0.2.1" : i == XCLIENT_PORT ? "25" : value;
    for (size_t size; (size = xclient_command(&values, wanted, &next, out)) > 0;) {
        must(is_reply_line(span_make(out, size)), "XCLIENT is one line");
        must(span_starts_nocase(span_make(out, size), "XCLIENT "), "XCLIENT is one line");
        must(++commands <= XCLIENT_COUNT, "XCLIENT comes to an end");
    }
}

static void check_reply(const struct smtp_reply *r, unsigned seed)
{
    struct buffer out = {.limit = 1024};
    size_t lines = 1;
    for (size_t i = 0; i < r->text.size; i++)
        lines += r->text.data[i] == '\n';
    must(r->code >= 200 && r->code <= 599, "a code is of RFC 5321 section 4.2.1");
    must(r->text.size <= TEXT_MAX && lines <= LINES_MAX, "a reply is bounded");
    must(r->enhanced[0] == '\0' || is_enhanced(r->enhanced, r->code), "an enhanced code is one");
    must(smtp_reply_pass(r, &out) == 0, "a reply can be passed on");
    must(is_reply_line(buffer_bytes(&out)), "what is passed on is one line");
    buffer_clear(&out);
    check_capabilities(r->text);
    check_xclient(r->text, seed);
}

static struct record converse(unsigned count, struct span input, struct cuts cuts)
{
    static struct smtp_client c;
    struct record said = record_make();
    struct leftover in = {NULL, {NULL, 0}};
    unsigned seed = cuts.seed;
    int outcome = 0;
    smtp_client_init(&c);
    for (unsigned i = 0; i < count; i++)
        must(smtp_client_expect(&c, (enum smtp_command)(i % (SMTP_COMMAND_QUIT + 1))) == 0,
             "so many may wait");
    while (input.size > 0 && outcome >= 0) {
        const struct smtp_reply *reply;
        enum smtp_command command;
        struct error why;
        struct span *rest = leftover_join(&in, next_piece(&cuts, &input));
        while ((outcome = smtp_client_input(&c, rest, &command, &reply, &why)) == 1) {
            must(count-- > 0, "nobody is answered who hasn't asked");
            must(smtp_client_due(&c) == count, "each reply is to one command");
            check_reply(reply, seed);
            record_number(&said, reply->code);
            record_span(&said, span_of(reply->enhanced));
            record_span(&said, reply->text);
        }
        must(outcome < 0 || rest->size < 2048, "no more is kept than a line may have");
    }
    record_number(&said, outcome);
    leftover_drop(&in);
    smtp_client_clear(&c);
    return said;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = span_make((const char *)data, size);
    unsigned count = take_byte(&input), seed = take_byte(&input);
    struct record whole = converse(count, input, (struct cuts){0});
    struct record cut = converse(count, input, (struct cuts){seed + 1});
    records_are_equal(&whole, &cut, "however the network cuts, the same is understood");
    return 0;
}
