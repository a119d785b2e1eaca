/* What a test wants its filter to do: lines of STAGE [action] [word] ..., with tabs between.
 *
 * A stage may name what its argument must contain, "rcpt/bob": the line is for that recipient, that
 * header or that sender alone. \n \t \r \\ \s (a space) and \xHH stand for octets; # begins a
 * remark. */
#ifndef E2E_MILTER_SCRIPT_H
#define E2E_MILTER_SCRIPT_H

enum { SCRIPT_WORDS = 36 };

struct script_line {
    const char *stage, *match, *action;
    char *words[SCRIPT_WORDS]; /* NULL behind the last */
    int count;
};

struct script {
    char *text;
    struct script_line *lines;
    int count;
};

/* Reads the file; ends the program with a word when it can't. */
void script_read(struct script *s, const char *path);
void script_free(struct script *s);

/* The line for this stage and argument after `last` (NULL: the first), or NULL. */
const struct script_line *script_next(const struct script *s, const struct script_line *last,
                                      const char *stage, const char *argument);

#endif
