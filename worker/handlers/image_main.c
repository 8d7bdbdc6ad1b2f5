/*
 * image_main.c - the handlers of the program ox-handler-image: a program of its own, because
 * libvips brings a hundred shared objects and 20 MB of resident memory to every child.
 */
#include "image.h"

const struct handler *const handlers[] = {
    &image_handler,
    NULL,
};
