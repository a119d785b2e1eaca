#include "actions.h"

#include <err.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int done(const char *what, int outcome)
{
    if (outcome == MI_FAILURE) {
        errx(1, "libmilter refuses %s", what);
    }
    return ACTION_GOES_ON;
}

/* reply 550 5.7.1 LINE ...; "-": no enhanced code. */
static int reply(SMFICTX *ctx, char **w)
{
    char *xcode = strcmp(w[1], "-") ? w[1] : NULL;
    if (w[2] && w[3]) {
        char *l[32] = {0};
        for (int i = 0; i < 32 && w[2 + i]; i++) {
            l[i] = w[2 + i];
        }
        done("the reply",
             smfi_setmlreply(ctx, w[0], xcode, l[0], l[1], l[2], l[3], l[4], l[5], l[6], l[7], l[8],
                             l[9], l[10], l[11], l[12], l[13], l[14], l[15], l[16], l[17], l[18],
                             l[19], l[20], l[21], l[22], l[23], l[24], l[25], l[26], l[27], l[28],
                             l[29], l[30], l[31], NULL));
    } else {
        done("the reply", smfi_setreply(ctx, w[0], xcode, w[2]));
    }
    return *w[0] == '4' ? SMFIS_TEMPFAIL : SMFIS_REJECT;
}

static int add_header(SMFICTX *ctx, char **w)
{
    return done("addheader", smfi_addheader(ctx, w[0], w[1]));
}

static int insert_header(SMFICTX *ctx, char **w)
{
    return done("insheader", smfi_insheader(ctx, atoi(w[0]), w[1], w[2]));
}

static int change_header(SMFICTX *ctx, char **w)
{
    return done("chgheader", smfi_chgheader(ctx, w[1], atoi(w[0]), w[2]));
}

static int delete_header(SMFICTX *ctx, char **w)
{
    return done("delheader", smfi_chgheader(ctx, w[1], atoi(w[0]), NULL));
}

static int replace_body(SMFICTX *ctx, char **w)
{
    return done("body", smfi_replacebody(ctx, (unsigned char *)w[0], (int)strlen(w[0])));
}

/* bigbody OCTETS: lines of x, 78 long. */
static int replace_body_big(SMFICTX *ctx, char **w)
{
    unsigned char block[64 * 80];
    memset(block, 'x', sizeof(block));
    for (size_t i = 78; i < sizeof(block); i += 80) {
        memcpy(block + i, "\r\n", 2);
    }
    for (long left = atol(w[0]); left > 0; left -= (long)sizeof(block)) {
        long size = left < (long)sizeof(block) ? left : (long)sizeof(block);
        if (smfi_replacebody(ctx, block, (int)size) == MI_FAILURE) {
            return SMFIS_TEMPFAIL; /* nobody listens any more */
        }
    }
    return ACTION_GOES_ON;
}

static int change_sender(SMFICTX *ctx, char **w)
{
    return done("chgfrom", smfi_chgfrom(ctx, w[0], w[1]));
}

static int add_recipient(SMFICTX *ctx, char **w)
{
    return done("addrcpt", w[1] ? smfi_addrcpt_par(ctx, w[0], w[1]) : smfi_addrcpt(ctx, w[0]));
}

static int delete_recipient(SMFICTX *ctx, char **w)
{
    return done("delrcpt", smfi_delrcpt(ctx, w[0]));
}

static int quarantine(SMFICTX *ctx, char **w)
{
    return done("quarantine", smfi_quarantine(ctx, w[0]));
}

/* Where that can't be said, nobody listens any more. */
static int progress(SMFICTX *ctx, char **w)
{
    (void)w;
    return smfi_progress(ctx) == MI_FAILURE ? SMFIS_TEMPFAIL : ACTION_GOES_ON;
}

/* sleep MILLISECONDS: this session alone. */
static int take_time(SMFICTX *ctx, char **w)
{
    (void)ctx;
    usleep((useconds_t)atoi(w[0]) * 1000);
    return ACTION_GOES_ON;
}

static int hang(SMFICTX *ctx, char **w)
{
    (void)ctx, (void)w;
    for (;;) {
        pause();
    }
    return ACTION_GOES_ON;
}

/* As if the kernel had killed it. */
static int die(SMFICTX *ctx, char **w)
{
    (void)ctx, (void)w;
    raise(SIGKILL);
    return ACTION_GOES_ON;
}

static const struct {
    const char *name;
    int least; /* words */
    int (*run)(SMFICTX *ctx, char **words);
    int answer; /* where there is nothing to run */
} actions[] = {
    {"continue", 0, NULL, SMFIS_CONTINUE},
    {"accept", 0, NULL, SMFIS_ACCEPT},
    {"reject", 0, NULL, SMFIS_REJECT},
    {"tempfail", 0, NULL, SMFIS_TEMPFAIL},
    {"discard", 0, NULL, SMFIS_DISCARD},
    {"skip", 0, NULL, SMFIS_SKIP},
    {"reply", 3, reply, 0},
    {"addheader", 2, add_header, 0},
    {"insheader", 3, insert_header, 0},
    {"chgheader", 3, change_header, 0},
    {"delheader", 2, delete_header, 0},
    {"body", 1, replace_body, 0},
    {"bigbody", 1, replace_body_big, 0},
    {"chgfrom", 1, change_sender, 0},
    {"addrcpt", 1, add_recipient, 0},
    {"delrcpt", 1, delete_recipient, 0},
    {"quarantine", 1, quarantine, 0},
    {"progress", 0, progress, 0},
    {"sleep", 1, take_time, 0},
    {"hang", 0, hang, 0},
    {"die", 0, die, 0},
};

int action_run(SMFICTX *ctx, const struct script_line *line)
{
    char *words[SCRIPT_WORDS];
    memcpy(words, line->words, sizeof(words));
    for (size_t i = 0; i < sizeof(actions) / sizeof(*actions); i++) {
        if (strcmp(actions[i].name, line->action)) {
            continue;
        }
        if (line->count < actions[i].least) {
            errx(1, "%s needs %d words", line->action, actions[i].least);
        }
        return actions[i].run ? actions[i].run(ctx, words) : actions[i].answer;
    }
    errx(1, "no action is called %s", line->action);
}
