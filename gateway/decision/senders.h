/* Whose the messages were that servers behind have taken lately, for whoever hears later what
 * became of one. One table for all workers and generations, in the shared mapping; it ends with it.
 *
 * There is room for SENDERS_MAX messages: where SENDER_WAYS others have taken a place, the oldest
 * makes room. Readers and writers take no lock: what two have written at once, or one who was
 * killed meanwhile, is nobody's. */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum { SENDERS_MAX = 65536, SENDER_WAYS = 8, SENDER_ACCOUNT_SIZE = 112 };

struct senders; /* in the shared mapping; zeros are an empty one */

size_t senders_size(void);

/* The message of that id (id_number) was the account's, whose name is left out when it has more
 * octets than there is room for. */
void senders_note(struct senders *s, uint64_t message, const char *account);

/* Whose it was. Returns 0; or -1: that isn't known, or not any more. */
int senders_find(const struct senders *s, uint64_t message, char out[SENDER_ACCOUNT_SIZE]);
