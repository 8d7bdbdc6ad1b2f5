/*
 * handler_main.c - the programs ox-handler and ox-handler-NAME: each runs the handlers of its
 * table for ox-worker.
 *
 * They are programs of their own so that the parent needs none of the libraries that handlers
 * do, and no child the libraries of another handler.
 */
#include <glib.h>

#include "base/startup.h"
#include "serve.h"

int main(int argc, char **argv)
{
    ox__startup_open_streams();
    g_auto(GStrv) words = ox__startup_take_arguments(argc, argv);
    g_autofree char **list =
        g_memdup2(words, sizeof *words * ((gsize)argc + 1)); /* it changes */
    return serve_main(argc, list, handlers);
}
