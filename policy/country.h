/* Countries, by their two letters of ISO 3166: which are there, and in which one an address is.
 * Pure.
 *
 * A table of them is made of a file of MaxMind's format once, by one process; those that ask map
 * it. It holds nothing of the file but its tree, with a country at each leaf. */
#pragma once

#include "base/error.h"
#include "base/span.h"

struct address;

enum { COUNTRY_SIZE = 3 };

/* Is it one, in capitals or not? For tables of settings: returns 0, or -1 and why. */
int country_check(const char *text, struct error *why);

/* Makes the table, of `size` octets, for the caller to free; `count` is how many networks have a
 * country (country.iso_code of the record, else registered_country.iso_code). NULL and why: the
 * file is spoiled, there is no country in it, or no memory. */
char *countries_build(struct span mmdb, size_t *size, size_t *count, struct error *why);

/* Hot: at most 128 reads of the table, about 20 ns where it lies in the processor's cache and 2 us
 * where none of it does; no system call. "BR", or "" where it isn't known, the table is empty or
 * spoiled. */
void countries_find(struct span table, const struct address *a, char out[COUNTRY_SIZE]);
