/* Between libmilter's threads and the loop: a thread comes with a client's errand and waits for the
 * answer, until a deadline; the loop does one errand after the other, and whatever takes its time
 * in the background. What a thread no longer waits for is given back.
 *
 * A visitor is a client of the MTA. It has one errand at a time, so that there is never more in the
 * queue than there are visitors, and those are bounded. */
#pragma once

#include "filter/mail.h"

struct desk;
struct visitor;

enum errand_kind {
    ERRAND_SENDER,
    ERRAND_RECIPIENT,
    ERRAND_REFUSED, /* a recipient, by the MTA itself, before it asks */
    ERRAND_DATA,
    ERRAND_HEADERS,
    ERRAND_END,
};

/* What a thread brings. Its texts may go away once it has been answered, or not. */
struct errand {
    enum errand_kind kind;
    struct span text;       /* the address, without <> */
    struct span more;       /* SENDER: the login, as the MTA has it; empty: nobody has logged in;
                               REFUSED: the enhanced code */
    struct buffer *headers; /* HEADERS: as mail_ask_headers; is emptied, whatever is answered */
    uint64_t bytes;         /* END */
};

/* ---- the loop's ---- */

/* Who brings something waits so long for the answer. NULL and why. */
struct desk *desk_create(struct filter *f, int64_t patience_ns, struct error *why);

/* No thread comes any more. */
void desk_destroy(struct desk **desk);

/* From here on no message is begun: MAIL is 451 4.3.0. */
void desk_close(struct desk *d);

/* Is no message under way? */
bool desk_is_idle(const struct desk *d);

/* ---- the threads' ---- */

const struct config *desk_config(const struct desk *d);

/* A client has come, from `address`; NULL: another way. NULL: there are too many, or no memory. */
struct visitor *desk_enter(struct desk *d, const struct address *address);

/* Brings an errand and waits. What can't be answered, or not in time, is an answer too: 451 4.3.0.
 */
void desk_ask(struct visitor *v, const struct errand *e, struct mail_answer *out);

/* The message is over; unless it has passed, it counts for nothing. `queue` is its id at the MTA,
 * or empty. Isn't waited for. */
void desk_end(struct visitor *v, bool has_passed, struct span queue);

/* The client is gone. Takes the visitor and leaves NULL. */
void desk_leave(struct visitor **v);
