/*
 * install.c - see install.h.
 */
#include "install.h"

#include <glib.h>

#include "check.h"
#include "files.h"
#include "process.h"

/* A program that uses a library built with a sanitizer needs it as well. */
#if defined(__SANITIZE_ADDRESS__)
#define SANITIZE "-fsanitize=address,undefined "
#else
#define SANITIZE ""
#endif

static void run_shell(const char *script)
{
    g_autofree char *err = NULL;
    int status = test_run_words(NULL, &err, "sh", "-ec", script, NULL);
    if (status)
        test_fatal("%s: exit %d: %s", script, status, err);
}

char *test_install(void)
{
    char *dir = test_dir_new();
    /* A make of its own: that which runs the tests has left its flags behind. */
    g_autofree char *install = g_strdup_printf(
        "unset MAKEFLAGS MFLAGS MAKELEVEL; make -s install BUILD='%s' PREFIX='%s/usr'",
        test_build_dir(), dir);
    run_shell(install);
    return dir;
}

char *test_compile(const char *installed, const char *source, const char *packages)
{
    g_autofree char *name = g_path_get_basename(source);
    g_autofree char *stem = g_strndup(name, strlen(name) - strlen(".c"));
    char *program = g_build_filename(installed, stem, NULL);
    const char *cc = g_getenv("CC");
    g_autofree char *compile =
        g_strdup_printf("export PKG_CONFIG_PATH='%s/usr/lib/pkgconfig'; "
                        "%s -std=gnu11 -Wall -Wextra -Wpedantic -Werror " SANITIZE
                        "-o '%s' '%s' $(pkg-config --cflags --libs %s)",
            installed, cc && *cc ? cc : "cc", program, source, packages);
    run_shell(compile);
    return program;
}

void test_use_installed(const char *installed)
{
    g_autofree char *lib = g_build_filename(installed, "usr", "lib", NULL);
    g_setenv("LD_LIBRARY_PATH", lib, TRUE);
}
