/* Of an explanation what isn't a limit: bans and suspensions that stand, how many connections there
 * are, from where somebody is let in, and who may send as whom. For control/explaining alone. */
#pragma once

#include "control/explaining.h"

/* Where rows go. The first that ends it says so in `text`, unless a limit did before. */
struct explaining_teller {
    void (*tell)(void *owner, json_t *row);
    void *owner;
    bool is_over; /* a row has ended it */
    char *text;   /* EXPLAINED_TEXT_SIZE octets */
};

/* Hands on a row, and frees it; NULL, without memory: it is missing. */
void explaining_tell_row(struct explaining_teller *t, json_t *row);

/* What is met by whoever connects, has logged in, says MAIL, has sent the message's headers, and
 * has come to its end. */
void explaining_tell_door(const struct explanation *e, struct explaining_teller *t);
void explaining_tell_login(const struct explanation *e, struct explaining_teller *t);
void explaining_tell_mail(const struct explanation *e, struct explaining_teller *t);
void explaining_tell_headers(const struct explanation *e, struct explaining_teller *t);
/* Policy servers, which would be asked at that stage, and aren't. */
void explaining_tell_delegates(const struct explanation *e, struct explaining_teller *t,
                               enum policy_stage stage);
void explaining_tell_end(const struct explanation *e, struct explaining_teller *t);
