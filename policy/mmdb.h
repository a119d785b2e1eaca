/* Files in MaxMind's format, version 2 (https://maxmind.github.io/MaxMind-DB/): a tree over the
 * bits of addresses whose leaves are records, and the records. As octets that are handed in. Pure:
 * whatever they hold, nothing outside them is read, and the work is bounded by their size. */
#pragma once

#include "base/error.h"
#include "base/span.h"

struct mmdb {
    struct span tree, data;
    uint32_t nodes;     /* of the tree; 0 is its root */
    unsigned side_bits; /* of each of a node's two sides: 24, 28 or 32 */
    bool is_v6;         /* 128 bits lead to a leaf, with IPv4 at ::/96; else 32 */
    uint64_t work;      /* how many values of records may still be looked at */
};

/* Finds its parts, which lie in `octets`. Returns 0, or -1 and why. */
int mmdb_open(struct span octets, struct mmdb *out, struct error *why);

/* Where the address goes on from a node that is there, with a bit: below `nodes` is another node,
 * `nodes` is nowhere, what is above is a record. */
uint32_t mmdb_side(const struct mmdb *m, uint32_t node, unsigned bit);

/* The text under two names of a record, as "country" and "iso_code"; it lies in the octets. Returns
 * 1; 0: the record hasn't it; -1: it is spoiled, or `work` is used up. */
int mmdb_text(struct mmdb *m, uint32_t record, const char *group, const char *name,
              struct span *out);
