/* main.c - the ox program; everything is in app.c, so that tests can link it. */
#include "cmd.h"

int main(int argc, char **argv)
{
    return app_run(argc, argv);
}
