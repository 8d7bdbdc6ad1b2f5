/* run.c - lists of runs; see run.h. */
#include "engine/run.h"

#include <string.h>

void ox__run_list_push(struct ox__run_list *list, struct ox__run *run)
{
    run->next = NULL;
    run->prev = list->tail;
    if (list->tail != NULL) {
        list->tail->next = run;
    } else {
        list->head = run;
    }
    list->tail = run;
    list->count++;
}

void ox__run_list_remove(struct ox__run_list *list, struct ox__run *run)
{
    if (run->prev != NULL) {
        run->prev->next = run->next;
    } else {
        list->head = run->next;
    }
    if (run->next != NULL) {
        run->next->prev = run->prev;
    } else {
        list->tail = run->prev;
    }
    run->next = run->prev = NULL;
    list->count--;
}

struct ox__run_ref ox__run_refer(struct ox__run *run)
{
    struct ox__run_ref ref = { .run = run };
    memcpy(ref.token, run->token, sizeof(ref.token));
    return ref;
}

struct ox__run *ox__run_find(const struct ox__run_list *list, const struct ox__run_ref *ref)
{
    for (struct ox__run *run = list->head; run != NULL; run = run->next) {
        if (run == ref->run && strcmp(run->token, ref->token) == 0) {
            return run;
        }
    }
    return NULL;
}
