/*
 * ran.c - see ran.h.
 */
#include "ran.h"

#include "check.h"

#include <glib.h>
#include <string.h>

#include "files.h"
#include "process.h"

char *dir;
struct ran ran;

int ran_begin(void **state)
{
    test_server_up(state);
    g_setenv("OX_REDIS_URL", test_redis_url(redis), TRUE);
    dir = test_dir_new();
    return 0;
}

int ran_end(void **state)
{
    test_server_down(state);
    test_remove(dir);
    g_clear_pointer(&dir, g_free);
    ran_set(0, NULL, NULL);
    return 0;
}

int ran_empty(void **state)
{
    (void)state;
    test_redis_do(redis, "FLUSHALL");
    return 0;
}

void ran_set(int status, char *out, char *err)
{
    g_free(ran.out);
    g_free(ran.err);
    ran = (struct ran){ status, out, err };
}

int run_with(const char *input, const char *const *argv)
{
    char *out = NULL, *err = NULL;
    int status = test_run(argv, input, &out, &err);
    ran_set(status, out, err);
    return status;
}

int ox_with(const char *input, const char *const *words)
{
    g_autoptr(GPtrArray) argv = g_ptr_array_new();
    g_ptr_array_add(argv, (gpointer) "ox");
    for (const char *const *word = words; *word; word++)
        g_ptr_array_add(argv, (gpointer)*word);
    g_ptr_array_add(argv, NULL);
    return run_with(input, (const char *const *)argv->pdata);
}

void told(void)
{
    test_fatal(
        "exit status %d\nstdout: %.2000s\nstderr: %.2000s", ran.status, ran.out, ran.err);
}

void expect_done(const char *result)
{
    if (ran.status || strcmp(ran.out, result) || *ran.err)
        told();
}

void expect_form(const char *form)
{
    if (ran.status || *ran.err || !g_regex_match_simple(form, ran.out, G_REGEX_DOTALL, 0))
        told();
}

void expect_refusal(int status, const char *why)
{
    const char *end = strchr(ran.err, '\n');
    if (ran.status != status || *ran.out || !strstr(ran.err, why) || !end || end[1])
        told();
}
