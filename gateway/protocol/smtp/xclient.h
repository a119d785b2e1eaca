/* XCLIENT as a server hears it: a client whom we trust says for whom it speaks (as Postfix has it).
 * Pure. */
#pragma once

#include "base/address.h"
#include "protocol/smtp/capabilities.h"

/* The values as they came, in xtext; empty: not told. */
struct smtp_told {
    struct span value[XCLIENT_COUNT];
};

/* Parses what stands behind the verb, all of it. Returns NULL, or what is wrong, for a person. */
const char *smtp_xclient_parse(struct span in, struct smtp_told *told);

/* Writes a value, decoded, with a closing NUL. False: it was not told, or is not known there
 * ("[UNAVAILABLE]", "[TEMPUNAVAIL]"). */
enum { SMTP_TOLD_SIZE = 256 };
bool smtp_told_text(const struct smtp_told *told, enum xclient_attribute which,
                    char out[SMTP_TOLD_SIZE]);

/* ADDR, with PORT or 0; and DESTADDR, where the client came to, with DESTPORT. False: the address
 * was not told, or is not known there. */
bool smtp_told_address(const struct smtp_told *told, struct address *out);
bool smtp_told_destination(const struct smtp_told *told, struct address *out);
