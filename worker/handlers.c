/*
 * handlers.c - the table of handlers. A handler is one file under handlers/ and one row here.
 */
#include "handler.h"
#include "handlers/image.h"

extern const struct handler echo_handler, noop_handler;

const struct handler *const handlers[] = {
    &image_handler,
    &echo_handler,
    &noop_handler,
    NULL,
};
