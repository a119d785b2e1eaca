#include "console/table.h"

#include "base/span.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { LINE_WIDTH = 80, CELL_MIN = 8, GAP = 2 };

struct table {
    const char *const *heads;
    size_t columns, rows, room;
    char **cells; /* row by row */
};

struct table *table_create(const char *const *heads, size_t columns)
{
    struct table *t = calloc(1, sizeof *t);
    if (t == NULL)
        abort(); /* a command line's memory */
    t->heads = heads;
    t->columns = columns;
    return t;
}

void table_destroy(struct table **t)
{
    if (*t == NULL)
        return;
    for (size_t i = 0; i < (*t)->rows * (*t)->columns; i++)
        free((*t)->cells[i]);
    free((*t)->cells);
    free(*t);
    *t = NULL;
}

static char *clean_copy(const char *text)
{
    char *copy = strdup(text);
    if (copy == NULL)
        abort(); /* as above */
    for (char *c = copy; *c != '\0'; c++)
        if ((unsigned char)*c < ' ' || (unsigned char)*c >= 0x7f)
            *c = '?';
    return copy;
}

void table_add(struct table *t, const char *const *cells)
{
    if (t->rows == t->room) {
        t->room = t->room == 0 ? 64 : t->room * 2;
        t->cells = realloc(t->cells, t->room * t->columns * sizeof *t->cells);
        if (t->cells == NULL)
            abort(); /* as above */
    }
    for (size_t i = 0; i < t->columns; i++)
        t->cells[t->rows * t->columns + i] = clean_copy(cells[i]);
    t->rows++;
}

static bool is_number(const struct table *t, size_t column)
{
    return t->heads[column][0] == '>';
}

static const char *head(const struct table *t, size_t column)
{
    return t->heads[column] + is_number(t, column);
}

int table_width(void)
{
    struct winsize size;
    uint64_t columns;
    const char *wanted = getenv("COLUMNS");
    if (!isatty(STDOUT_FILENO))
        return wanted != NULL && span_number(span_of(wanted), 1000, &columns) == 0 && columns >= 20
                   ? (int)columns
                   : INT_MAX;
    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col
                                                                           : LINE_WIDTH;
}

/* The column to cut: the widest text; the first, which is what people copy, only when all others
 * have given what they can. */
static size_t column_to_cut(const struct table *t, const int width[TABLE_COLUMNS_MAX])
{
    size_t widest = 0;
    for (size_t c = 1; c < t->columns; c++)
        if (!is_number(t, c) && width[c] > CELL_MIN && (widest == 0 || width[c] > width[widest]))
            widest = c;
    return widest;
}

static void measure(const struct table *t, int width[TABLE_COLUMNS_MAX])
{
    int total = 0, limit = table_width();
    for (size_t c = 0; c < t->columns; c++) {
        width[c] = (int)strlen(head(t, c));
        for (size_t r = 0; r < t->rows; r++) {
            int size = (int)strlen(t->cells[r * t->columns + c]);
            if (size > width[c])
                width[c] = size;
        }
        total += width[c] + (c > 0 ? GAP : 0);
    }
    for (; total > limit; total--) {
        size_t widest = column_to_cut(t, width);
        if (is_number(t, widest) || width[widest] <= CELL_MIN)
            return;
        width[widest]--;
    }
}

static void print_cell(const struct table *t, size_t column, const char *text, int width)
{
    bool is_last = column + 1 == t->columns, is_cut = (int)strlen(text) > width;
    int tail = column == 0 ? (width - 1) / 2 : 0; /* names often differ at both ends */
    if (column > 0)
        printf("%*s", GAP, "");
    if (is_number(t, column))
        printf("%*s", width, text);
    else if (is_cut)
        printf("%.*s~%s", width - 1 - tail, text, text + strlen(text) - tail);
    else
        printf("%-*s", is_last ? 0 : width, text);
    if (is_last)
        putchar('\n');
}

void table_print(const struct table *t)
{
    int width[TABLE_COLUMNS_MAX];
    measure(t, width);
    for (size_t c = 0; c < t->columns; c++)
        print_cell(t, c, head(t, c), width[c]);
    for (size_t r = 0; r < t->rows; r++)
        for (size_t c = 0; c < t->columns; c++)
            print_cell(t, c, t->cells[r * t->columns + c], width[c]);
}
