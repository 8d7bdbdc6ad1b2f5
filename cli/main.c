/* main.c - the ox program; everything is in app.c, so that tests can link it. */
#include "base/startup.h"
#include "cmd.h"

int main(int argc, char **argv)
{
    ox__startup_open_streams();
    g_auto(GStrv) words = ox__startup_take_arguments(argc, argv);
    return app_run(argc, words);
}
