/* Which addresses are an account's own, as octets without pointers: built once by one process from
 * a watched file, read where they are mapped by others. Pure.
 *
 * They hold hashes (SipHash of 128 bits, under a key of their own), so that an entry costs 27
 * octets, and an account as many, whatever is in them, and one look-up a few of them. Every place
 * is bounded as it is read: who has built them may have been taken over. */
#pragma once

#include "base/span.h"

/* ---- building ---- */

struct ownership_builder;

/* `key` is random. NULL without memory. */
struct ownership_builder *ownership_builder_create(const uint64_t key[2]);
void ownership_builder_destroy(struct ownership_builder **b);

/* From now on entries are this account's, in canonical form. It may come again. Returns 0, or -1
 * without memory. */
int ownership_account(struct ownership_builder *b, struct span account);

/* In canonical form: "ana@example.com", "@example.com", "ana+*@example.com" or "*". What is there
 * already is there once. Returns 0, or -1 without memory. */
int ownership_add(struct ownership_builder *b, struct span entry);

/* The octets, the caller's to free. NULL without memory, or with more than 2^31 entries. */
char *ownership_build(const struct ownership_builder *b, size_t *size);

/* ---- reading ---- */

/* Is the address the account's, both in canonical form? Of an account without entries its name is
 * the only address, and so it is where there are no octets.
 *
 * Hot: see tests/bench; no allocation. */
bool ownership_holds(struct span octets, struct span account, struct span address);
