/* Small files in MaxMind's format, made by hand. */
#pragma once

#include "base/address.h"
#include "base/span.h"
#include "support/test.h"

#include <arpa/inet.h>
#include <stdio.h>

enum { DATABASE_MAX = 65536, DATABASE_NODES = 1024, SIDE_NOWHERE = -1, SIDE_RECORD = 1 << 20 };

struct database {
    unsigned side_bits;
    bool is_v4;                   /* of 32 bits alone */
    int sides[DATABASE_NODES][2]; /* a node, SIDE_NOWHERE, or SIDE_RECORD + its offset */
    int nodes;
    char records[DATABASE_MAX];
    size_t size;
    char octets[DATABASE_MAX];
};

static inline void database_begin(struct database *d, unsigned side_bits)
{
    *d = (struct database){.side_bits = side_bits, .nodes = 1, .sides = {{-1, -1}}};
}

/* Octets of records; returns where they lie. */
static inline int database_add(struct database *d, const char *octets, size_t size)
{
    ck_assert_uint_le(d->size + size, DATABASE_MAX);
    memcpy(d->records + d->size, octets, size);
    d->size += size;
    return (int)(d->size - size);
}

/* Has the network's leaf lead to the record at that offset. */
static inline void database_lead(struct database *d, const char *network, int bits, int record)
{
    unsigned char octets[16] = {0};
    bool is_v6 = strchr(network, ':') != NULL;
    unsigned before = is_v6 || d->is_v4 ? 0 : 96;
    int at = 0;
    ck_assert_int_eq(inet_pton(is_v6 ? AF_INET6 : AF_INET, network, octets + before / 8), 1);
    for (unsigned i = 0; i < before + (unsigned)bits; i++) {
        int *side = &d->sides[at][octets[i / 8] >> (7 - i % 8) & 1];
        if (i + 1 == before + (unsigned)bits) {
            *side = SIDE_RECORD + record;
        } else if (*side == SIDE_NOWHERE) {
            ck_assert_int_lt(d->nodes, DATABASE_NODES);
            d->sides[d->nodes][0] = d->sides[d->nodes][1] = SIDE_NOWHERE;
            *side = d->nodes++;
        }
        at = *side;
    }
}

/* A record with one country, under either name. */
static inline int database_country(struct database *d, const char *name, const char *code)
{
    char record[128];
    int size = snprintf(record, sizeof record, "\xe1%c%s\xe1\x48iso_code\x42%s",
                        (int)(0x40 | (strlen(name) < 29 ? strlen(name) : 0)), name, code);
    return database_add(d, record, (size_t)size);
}

static inline void database_network(struct database *d, const char *network, int bits,
                                    const char *code)
{
    database_lead(d, network, bits, database_country(d, "country", code));
}

static inline void put_number(char *at, unsigned size, uint32_t n)
{
    while (size-- > 0) {
        at[size] = (char)n;
        n >>= 8;
    }
}

static inline void put_node(const struct database *d, char *at, int node)
{
    uint32_t sides[2], size = d->side_bits / 8;
    for (int i = 0; i < 2; i++)
        sides[i] = (uint32_t)(d->sides[node][i] == SIDE_NOWHERE ? d->nodes
                              : d->sides[node][i] >= SIDE_RECORD
                                  ? d->nodes + 16 + d->sides[node][i] - SIDE_RECORD
                                  : d->sides[node][i]);
    put_number(at, size, sides[0]);
    if (d->side_bits == 28)
        at[3] = (char)(sides[0] >> 24 << 4 | sides[1] >> 24);
    put_number(at + size + (d->side_bits == 28), size, sides[1]);
}

/* The file; valid until the database is changed. */
static inline struct span database_file(struct database *d)
{
    size_t tree = (size_t)d->nodes * d->side_bits / 4, at = tree + 16;
    char about[256];
    ck_assert_uint_le(at + d->size + sizeof about, DATABASE_MAX);
    for (int i = 0; i < d->nodes; i++)
        put_node(d, d->octets + (size_t)i * d->side_bits / 4, i);
    memset(d->octets + tree, 0, 16);
    memcpy(d->octets + at, d->records, d->size);
    at += d->size;
    int size = snprintf(about, sizeof about,
                        "\xab\xcd\xefMaxMind.com\xe4"
                        "\x5b"
                        "binary_format_major_version\xa1\x02"
                        "\x4a"
                        "node_count\xc2%c%c"
                        "\x4aip_version\xa1%c"
                        "\x4brecord_size\xa1%c",
                        d->nodes >> 8 | 0x80, d->nodes & 255, d->is_v4 ? 4 : 6, d->side_bits);
    memcpy(d->octets + at, about, (size_t)size);
    char *count = d->octets + at + (strstr(about, "node_count") + 11 - about);
    put_number(count, 2, (uint32_t)d->nodes); /* an octet of it may be 0 */
    return span_make(d->octets, at + (size_t)size);
}
