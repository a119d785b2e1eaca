/* Small readers: numbers, times, sizes, addresses, networks, base 64, UTF-8, log records, and
 * looking for bytes. The first byte says which. */
#include "base/address.h"
#include "base/base64.h"
#include "base/log.h"
#include "base/network.h"
#include "base/scan.h"
#include "base/setting.h"
#include "base/utf8.h"

#include "fuzz.h"

static void check_number(struct span s)
{
    unsigned __int128 value = 0;
    uint64_t max = 0, number = 1234;
    for (unsigned i = 0; i < 8; i++)
        max = max << 8 | take_byte(&s);
    bool is_good = s.size > 0;
    for (size_t i = 0; i < s.size && is_good; i++) {
        is_good = s.data[i] >= '0' && s.data[i] <= '9';
        value = value * 10 + (unsigned)(s.data[i] - '0');
        is_good = is_good && value <= max;
    }
    must((span_number(s, max, &number) == 0) == is_good, "digits alone, no larger than the bound");
    must(number == (is_good ? (uint64_t)value : 1234), "it is the number, or left alone");
}

static void check_base64(struct span s)
{
    char decoded[2048], encoded[4096];
    if (s.size > 2048)
        s.size = 2048;
    ssize_t size = base64_decode(s, decoded, sizeof decoded);
    if (size >= 0) {
        size_t again = base64_encode(span_make(decoded, (size_t)size), encoded);
        must(again == s.size && (again == 0 || memcmp(encoded, s.data, again) == 0),
             "what is taken is the one way to write it");
        must(size == 0 || base64_decode(s, decoded, (size_t)size - 1) < 0, "it needs its room");
    }
    size_t written = base64_encode(s, encoded);
    must(written + 1 == BASE64_ENCODED_SIZE(s.size), "its size is known");
    must(base64_decode(span_make(encoded, written), decoded, sizeof decoded) == (ssize_t)s.size &&
             (s.size == 0 || memcmp(decoded, s.data, s.size) == 0),
         "what is written is read as the same");
}

/* RFC 3629 section 4: the octets that a character may have, by its first. */
static size_t character(struct span s)
{
    static const struct {
        unsigned char first, last, second_from, second_to, size;
    } rows[] = {
        {0x00, 0x7f, 0, 0, 1},       {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
        {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
        {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4}};
    const unsigned char *b = (const unsigned char *)s.data;
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
        if (b[0] < rows[r].first || b[0] > rows[r].last || rows[r].size > s.size)
            continue;
        if (rows[r].size > 1 && (b[1] < rows[r].second_from || b[1] > rows[r].second_to))
            return 0;
        for (size_t i = 2; i < rows[r].size; i++)
            if (b[i] < 0x80 || b[i] > 0xbf)
                return 0;
        return rows[r].size;
    }
    return 0;
}

static void check_utf8(struct span s)
{
    struct span rest = s;
    size_t size = 1;
    while (rest.size > 0 && (size = character(rest)) > 0)
        span_skip(&rest, size);
    must(utf8_is_valid(s) == (rest.size == 0), "UTF-8 is what RFC 3629 says");
    must(utf8_has_non_ascii(s) == !is_ascii(s), "more than ASCII has a high bit");
}

static void check_address(const char *text)
{
    struct address all[ADDRESS_LISTEN_MAX], again;
    struct error why = {.text = ""};
    char shown[ADDRESS_TEXT_SIZE], more[ADDRESS_TEXT_SIZE];
    int count = address_parse_listen(text, all, &why);
    must((count < 0) == (why.text[0] != '\0'), "it is taken, or said why not");
    must((address_parse(text, &again, &why) == 0) == (count == 1),
         "whom to connect to is one address");
    for (int i = 0; i < count; i++) {
        address_format(&all[i], shown);
        must(address_port(&all[i]) != 0 && address_parse(shown, &again, &why) == 0,
             "what is shown can be written");
        address_format(&again, more);
        must(strcmp(shown, more) == 0, "what is shown is read as the same");
    }
}

/* Printed, it is read as the same. */
static void check_setting(const char *text, enum setting_kind kind)
{
    const struct setting s = {"key", kind, 0, "0", .min = 0};
    struct error why;
    int64_t is, again;
    int outcome = kind == SETTING_DURATION ? setting_parse_duration(text, &is, &why)
                                           : setting_parse_size(text, &is, &why);
    if (outcome < 0)
        return;
    struct buffer out = {.limit = 100};
    must(is >= 0 && setting_print(&s, &is, &out) == 0 && buffer_append(&out, span_make("", 1)) == 0,
         "it can be printed");
    char *shown = out.data + out.start, *end = strrchr(shown, '"');
    if (end != NULL)
        *end = '\0';
    shown += end != NULL;
    outcome = kind == SETTING_DURATION ? setting_parse_duration(shown, &again, &why)
                                       : setting_parse_size(shown, &again, &why);
    must(outcome == 0 && is == again, "printed, it is read as the same");
    buffer_clear(&out);
}

/* It holds the addresses that share its bits, and no others. */
static void check_network(struct span s)
{
    unsigned bit = take_byte(&s) % 128;
    struct network n;
    struct error why = {.text = ""};
    int outcome = network_parse(s.data, &n, &why);
    must((outcome < 0) == (why.text[0] != '\0'), "it is taken, or said why not");
    if (outcome < 0)
        return;
    struct address a = {.size = sizeof a.v6};
    a.v6.sin6_family = AF_INET6;
    a.v6.sin6_addr = n.first;
    must(n.bits <= 128 && network_holds(&n, &a), "it holds its first address");
    must(networks_meet(&n, &n), "it meets itself");
    a.v6.sin6_addr.s6_addr[bit / 8] ^= (unsigned char)(0x80 >> bit % 8);
    bool is_other_family = n.is_v6 == (IN6_IS_ADDR_V4MAPPED(&a.v6.sin6_addr) != 0);
    must(network_holds(&n, &a) == (bit >= n.bits && !is_other_family),
         "it holds what shares its bits, of its family");
}

static void check_scan(struct span s)
{
    const char *end = s.data + s.size, *at = s.data;
    unsigned a = take_byte(&s), b = take_byte(&s);
    at = s.data;
    while (at < end && *at != '\r' && *at != '\n')
        at++;
    must(scan_line_break(s.data, end) == at, "it is the first of them");
    for (at = s.data; at < end && !(at + 1 < end && at[0] == (char)a && at[1] == (char)b);)
        at++;
    must(scan_pair(s.data, end, (char)a, (char)b) == at, "it is the first of them");
}

static void take_line(void *owner, enum log_level level, struct span line)
{
    must(lies_in(line, *(const struct span *)owner) && level <= LOG_LEVEL_ERROR,
         "a line is of the datagram");
}

/* Memory of exactly that size: a sanitizer sees a look past its end. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = span_make((const char *)data, size);
    unsigned what = take_byte(&input) % 9;
    struct leftover copy = {NULL, {NULL, 0}};
    bool is_text = what >= 5;
    input = *leftover_join(&copy, input);
    if (is_text)
        input = *leftover_join(&copy, span_make("", 1));
    switch (what) {
    case 0: check_number(input); break;
    case 1: check_base64(input); break;
    case 2: check_utf8(input); break;
    case 3: check_scan(input); break;
    case 4: log_lines_each(input, take_line, &input); break;
    case 5: check_address(input.data); break;
    case 6: check_setting(input.data, SETTING_DURATION); break;
    case 7: check_setting(input.data, SETTING_SIZE); break;
    default:
        if (input.size > 1)
            check_network(input);
        break;
    }
    leftover_drop(&copy);
    return 0;
}
