/* A file of countries, whatever is in it: the table that is made of it says of an address what its
 * own tree and records say. The input is an address, sixteen octets, and the file. */
#include "policy/country.h"

#include "base/address.h"
#include "policy/mmdb.h"

#include "fuzz.h"

#include <stdlib.h>

/* The leaf of an address, bit by bit; 0: it has none. */
static uint32_t leaf_of(const struct mmdb *m, const unsigned char octets[16])
{
    uint32_t side = 0;
    for (unsigned bit = m->is_v6 ? 0 : 96; bit < 128 && side < m->nodes; bit++)
        side = mmdb_side(m, side, octets[bit / 8] >> (7 - bit % 8) & 1);
    return side > m->nodes ? side : 0;
}

static void say(struct mmdb *m, uint32_t leaf, char out[COUNTRY_SIZE])
{
    struct span code = {"", 0};
    struct error ignored; /* then it is none */
    if (leaf > 0 && mmdb_text(m, leaf, "country", "iso_code", &code) == 0)
        (void)mmdb_text(m, leaf, "registered_country", "iso_code", &code); /* empty, then */
    out[0] = '\0';
    if (code.size == 2)
        (void)span_copy(code, out, COUNTRY_SIZE); /* fits */
    if (country_check(out, &ignored) < 0)
        out[0] = '\0';
}

static bool is_same(const char *a, const char *b)
{
    return span_equals_nocase(span_of(a), b);
}

static void compare(struct span file, struct span table, const unsigned char octets[16])
{
    char found[COUNTRY_SIZE], said[COUNTRY_SIZE];
    struct address a = {.v6 = {.sin6_family = AF_INET6}, .size = sizeof a.v6};
    struct error why;
    struct mmdb m;
    must(mmdb_open(file, &m, &why) == 0, "what a table was made of is a file");
    m.work = UINT64_MAX; /* the table has shared it between all leaves */
    memcpy(&a.v6.sin6_addr, octets, 16);
    countries_find(table, &a, found);
    say(&m, leaf_of(&m, octets), said);
    if (m.is_v6 == address_is_v6(&a)) /* else IPv4 has a root of its own, or IPv6 none */
        must(is_same(found, said), "a table says what its file says");
    must(strlen(found) == 0 || strlen(found) == 2, "a country has two letters");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span file = span_make((const char *)data, size);
    struct leftover exact = {NULL, {NULL, 0}};
    unsigned char octets[16];
    struct error why;
    size_t table_size = 0, count = 0;
    for (size_t i = 0; i < sizeof octets; i++)
        octets[i] = (unsigned char)take_byte(&file);
    struct span bytes = *leftover_join(&exact, file);
    char *table = countries_build(bytes, &table_size, &count, &why);
    if (table == NULL)
        must(why.text[0] != '\0', "what is wrong is told");
    else
        compare(bytes, span_make(table, table_size), octets);
    free(table);
    leftover_drop(&exact);
    return 0;
}
