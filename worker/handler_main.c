/*
 * handler_main.c - the programs ox-handler and ox-handler-NAME: each runs the handlers of its
 * table for ox-worker.
 *
 * They are programs of their own so that the parent needs none of the libraries that handlers
 * do, and no child the libraries of another handler.
 */
#include "base/startup.h"
#include "serve.h"

int main(int argc, char **argv)
{
    ox__startup_open_streams();
    return serve_main(argc, argv, handlers);
}
