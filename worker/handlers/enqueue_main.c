/*
 * enqueue_main.c - the handlers of the program ox-handler-enqueue: a program of its own,
 * because it is linked with libox, which no other child needs.
 */
#include "events.h"

const struct handler *const handlers[] = {
    &enqueue_handler,
    NULL,
};
