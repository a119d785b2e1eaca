#include "policy/country.h"

#include "base/address.h"
#include "policy/mmdb.h"

#include <stdlib.h>
#include <strings.h>

/* ISO 3166-1, and XK for Kosovo, which all databases have; in order. */
static const char codes[] =
    "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL "
    "BM BN BO BQ BR BS BT BV BW BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV "
    "CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR GA GB GD "
    "GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM "
    "IN IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK "
    "LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW "
    "MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR "
    "PS PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS "
    "ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY "
    "UZ VA VC VE VG VI VN VU WF WS XK YE YT ZA ZM ZW ";

static int compare(const void *a, const void *b)
{
    return memcmp(a, b, 2);
}

/* In capitals, "" where it is none: as "ZZ", by which some databases say that they don't know. */
static void read_code(struct span text, char out[COUNTRY_SIZE])
{
    memset(out, 0, COUNTRY_SIZE);
    for (size_t i = 0; i < 2 && text.size == 2; i++) {
        char c = text.data[i];
        out[i] = c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
    }
    if (bsearch(out, codes, sizeof codes / 3, 3, compare) == NULL)
        out[0] = out[1] = '\0';
}

int country_check(const char *text, struct error *why)
{
    char code[COUNTRY_SIZE];
    read_code(span_of(text), code);
    if (code[0] != '\0')
        return 0;
    if (strcasecmp(text, "UK") == 0)
        return error_set(why, "\"%s\" is no country of ISO 3166; write \"GB\"", text);
    return error_set(why, "\"%s\" is no country; write its two letters of ISO 3166, as \"BR\"",
                     text);
}

/* ---- the table ---- */

/* Words: where IPv6 begins, where IPv4 does, then two for each node of the tree. A word is the
 * number of a node or, with LEAF, the two letters of a country, or none. */
enum { ROOT_V6, ROOT_V4, ROOTS, CACHE_MAX = 65536 };
static const uint32_t LEAF = UINT32_C(1) << 31;

/* Most networks share their records with others. */
struct cached {
    uint32_t record, word;
};

struct building {
    struct mmdb file;
    uint32_t *words;
    struct cached *cache;
    size_t cache_size;
    size_t count; /* leaves that have a country */
};

/* Returns 0, or -1: the record is spoiled. */
static int read_record(struct mmdb *m, uint32_t record, uint32_t *word)
{
    char code[COUNTRY_SIZE] = "";
    struct span text;
    int found = mmdb_text(m, record, "country", "iso_code", &text);
    if (found == 0)
        found = mmdb_text(m, record, "registered_country", "iso_code", &text);
    if (found > 0)
        read_code(text, code);
    *word = LEAF | (uint32_t)code[0] << 8 | (uint32_t)code[1];
    return found < 0 ? -1 : 0;
}

static int build_side(struct building *b, uint32_t side, uint32_t *word)
{
    struct cached *c = &b->cache[side % b->cache_size];
    *word = side < b->file.nodes ? side : LEAF;
    if (side <= b->file.nodes)
        return 0;
    if (c->record != side && read_record(&b->file, side, &c->word) < 0)
        return -1;
    c->record = side; /* never 0: that is a node */
    *word = c->word;
    b->count += c->word != LEAF;
    return 0;
}

/* Where IPv4 lies in a tree of IPv6. */
static uint32_t find_v4(const struct building *b)
{
    uint32_t word = 0;
    for (int bit = 0; bit < 96 && (word & LEAF) == 0; bit++)
        word = b->words[ROOTS + 2 * (size_t)word];
    return word;
}

static int build(struct building *b)
{
    for (uint32_t node = 0; node < b->file.nodes; node++)
        for (unsigned bit = 0; bit < 2; bit++)
            if (build_side(b, mmdb_side(&b->file, node, bit),
                           &b->words[ROOTS + 2 * (size_t)node + bit]) < 0)
                return -1;
    b->words[ROOT_V6] = b->file.is_v6 ? 0 : LEAF;
    b->words[ROOT_V4] = b->file.is_v6 ? find_v4(b) : 0;
    return 0;
}

char *countries_build(struct span mmdb, size_t *size, size_t *count, struct error *why)
{
    struct building b = {.count = 0};
    bool is_good = false;
    if (mmdb_open(mmdb, &b.file, why) < 0)
        return NULL;
    *size = (ROOTS + 2 * (size_t)b.file.nodes) * sizeof *b.words;
    b.words = malloc(*size);
    b.cache_size = b.file.nodes < CACHE_MAX ? b.file.nodes : CACHE_MAX;
    b.cache = calloc(b.cache_size, sizeof *b.cache);
    if (b.words == NULL || b.cache == NULL)
        (void)error_set(why, "out of memory");
    else if (build(&b) < 0)
        (void)error_set(why, "is spoiled: a record can't be read");
    else if (b.count == 0)
        (void)error_set(why, "has no countries; take a database of countries or cities");
    else
        is_good = true;
    free(b.cache);
    if (!is_good)
        free(b.words);
    *count = b.count;
    return is_good ? (char *)b.words : NULL;
}

/* ---- asking ---- */

static uint32_t word_at(struct span table, size_t i)
{
    uint32_t word;
    if (i >= table.size / sizeof word)
        return LEAF;
    memcpy(&word, table.data + i * sizeof word, sizeof word);
    return word;
}

void countries_find(struct span table, const struct address *a, char out[COUNTRY_SIZE])
{
    bool is_v6 = address_is_v6(a);
    const unsigned char *octets = a->any.sa_family == AF_INET6
                                      ? &a->v6.sin6_addr.s6_addr[is_v6 ? 0 : 12]
                                      : (const unsigned char *)&a->v4.sin_addr;
    uint32_t word = word_at(table, is_v6 ? ROOT_V6 : ROOT_V4);
    for (unsigned bit = 0; bit < (is_v6 ? 128 : 32) && (word & LEAF) == 0; bit++)
        word = word_at(table, ROOTS + 2 * (size_t)word + (octets[bit / 8] >> (7 - bit % 8) & 1));
    bool is_known = (word & LEAF) != 0 && word != LEAF;
    out[0] = is_known ? (char)(word >> 8 & 0x7f) : '\0';
    out[1] = is_known ? (char)(word & 0x7f) : '\0';
    out[2] = '\0';
}
