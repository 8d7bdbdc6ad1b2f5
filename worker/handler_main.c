/*
 * handler_main.c - the program ox-handler: the handlers of handlers.c, run for ox-worker.
 *
 * It is a program of its own so that the parent needs none of the libraries that handlers do:
 * libvips alone brings a hundred shared objects and 20 MB of resident memory.
 */
#include "base/startup.h"
#include "serve.h"

int main(int argc, char **argv)
{
    startup_open_streams();
    return serve_main(argc, argv, handlers);
}
