/*
 * handlers.c - the handlers of the program ox-handler. A handler is one file under handlers/
 * and one row here.
 */
#include "handler.h"

extern const struct handler echo_handler, exec_handler, noop_handler;

const struct handler *const handlers[] = {
    &echo_handler,
    &exec_handler,
    &noop_handler,
    NULL,
};
