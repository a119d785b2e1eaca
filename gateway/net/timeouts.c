#include "net/timeouts.h"

/* One heap of two, each NULL or without siblings; the later becomes a child of the earlier. */
static struct timeout *meld(struct timeout *a, struct timeout *b)
{
    if (a == NULL || b == NULL)
        return a == NULL ? b : a;
    if (b->armed_ns < a->armed_ns) {
        struct timeout *earlier = b;
        b = a;
        a = earlier;
    }
    b->previous = a;
    b->next = a->child;
    if (a->child != NULL)
        a->child->previous = b;
    a->child = b;
    return a;
}

/* Takes the first one off a row of siblings. */
static struct timeout *take(struct timeout **row)
{
    struct timeout *t = *row;
    if (t == NULL)
        return NULL;
    *row = t->next;
    t->next = t->previous = NULL;
    return t;
}

/* One heap of a row of siblings: two by two from the front, then all of these from the back. */
static struct timeout *meld_all(struct timeout *row)
{
    struct timeout *pairs = NULL, *all = NULL;
    while (row != NULL) {
        struct timeout *first = take(&row), *pair = meld(first, take(&row));
        pair->next = pairs;
        pairs = pair;
    }
    while (pairs != NULL)
        all = meld(all, take(&pairs));
    return all;
}

void timeouts_add(struct timeout **top, struct timeout *t)
{
    t->child = t->next = t->previous = NULL;
    *top = meld(*top, t);
}

void timeouts_remove(struct timeout **top, struct timeout *t)
{
    struct timeout *children = meld_all(t->child);
    t->child = NULL;
    if (t == *top) {
        *top = children;
        return;
    }
    if (t->previous->child == t)
        t->previous->child = t->next;
    else
        t->previous->next = t->next;
    if (t->next != NULL)
        t->next->previous = t->previous;
    *top = meld(*top, children);
}
