/*
 * webhook_main.c - the handlers of the program ox-handler-webhook: a program of its own,
 * because libcurl brings a score of shared objects to every child.
 */
#include "webhook.h"

const struct handler *const handlers[] = {
    &webhook_handler,
    NULL,
};
