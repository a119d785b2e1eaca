/* What the two sides of a milter connection agree on at its beginning: version, actions, what is
 * told and answered, and which macros come with it. Pure. */
#pragma once

#include "protocol/milter/codes.h"
#include "protocol/milter/frames.h"

/* Where macros are sent, in the numbers of the protocol. */
enum milter_stage {
    MILTER_STAGE_CONNECT,
    MILTER_STAGE_HELO,
    MILTER_STAGE_MAIL,
    MILTER_STAGE_RCPT,
    MILTER_STAGE_DATA,
    MILTER_STAGE_END,
    MILTER_STAGE_EOH,
    MILTER_STAGES,
};

struct milter_terms {
    uint32_t version, actions, protocol;
    size_t most;                       /* octets of data in a frame */
    struct span macros[MILTER_STAGES]; /* the names that it has asked for, or those by default */
};

/* Appends what we offer: all of version 6. Returns 0, or -1 when `out` is full. */
int milter_terms_offer(struct buffer *out);

/* What the filter has answered; `out` looks into `data`. Returns 0; or -1 and why: it is no answer,
 * or it wants what isn't offered. */
int milter_terms_parse(struct span data, struct milter_terms *out, struct error *why);

/* Is it told of this command, and does it answer? */
bool milter_is_told(const struct milter_terms *t, enum milter_command c);
bool milter_is_answered(const struct milter_terms *t, enum milter_command c);

/* Which macros go before it; false: none ever do. */
bool milter_stage_of(const struct milter_terms *t, enum milter_command c, enum milter_stage *stage);

/* May it change header or body, so that those behind it have to wait for it? */
bool milter_edits_content(const struct milter_terms *t);

/* The next name of a list, taken off its front: as "i" or "{auth_authen}". False: there is none. */
enum { MILTER_MACRO_NAME_SIZE = 64 };
bool milter_macro_next(struct span *list, char name[MILTER_MACRO_NAME_SIZE]);
