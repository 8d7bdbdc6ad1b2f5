/*
 * list.h - lists as the library hands them out: an array of pointers that NULL ends, each to
 * one block of memory. So one function frees any of them, ox_list_free(), and a struct of which
 * there are many may grow.
 */
#ifndef OX_LIB_QUEUE_LIST_H
#define OX_LIB_QUEUE_LIST_H

#include <ox.h>

/* Zeros: an empty one. */
struct ox__list {
    void **items; /* NULL: nothing was added yet */
    size_t count, room;
};

void ox__list_done(struct ox__list *list);
/* Takes over `item`, a block of malloc(); NULL stands for an item that could not be allocated.
 */
int ox__list_add(struct ox__list *list, void *item, ox_error *err);
/* Moves the list to the caller and empties it: `out` is a T ***, `count` may be NULL. */
int ox__list_take(struct ox__list *list, void *out, size_t *count, ox_error *err);

/* A block that begins with `size` bytes of `item` and goes on with the texts that it points to:
 * `texts` are the places of `count` pointers in it, NULL or to be copied. NULL when memory is
 * out. */
void *ox__list_item(const void *item, size_t size, const size_t *texts, size_t count);

#endif /* OX_LIB_QUEUE_LIST_H */
