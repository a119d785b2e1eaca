/* A ban as gateways tell it to one another: a name, of whom it hits, and a value, of what is known
 * about it. Who reads one believes nothing of it. */
#pragma once

#include "base/span.h"
#include "decision/bans.h"

enum { BAN_NAME_SIZE = 96, BAN_VALUE_SIZE = 640 };

/* "192.0.2.0/24 0 ban", and "SINCE UNTIL TRIES UID SPARES_NOBODY" with rule, account and reason in
 * a line each. Of a suspension, "::/0 HASH suspension", SCOPE stands in the last one's place, and a
 * line of hashes follows. Control characters become '?'. */
void ban_text_write(const struct ban *ban, char name[BAN_NAME_SIZE], char value[BAN_VALUE_SIZE]);

/* Back. Returns 0, or -1: it is none. */
int ban_text_read(struct span name, struct span value, struct ban *out);
