/*
 * test_worker_handler.c - the handler in C of docs/handlers.md, as it stands there: it gets its
 * secret, and a handler beside it does not. This very program runs the two when ox-worker
 * starts it as its program of handlers.
 */
#include "../support/check.h"

#include <glib.h>
#include <signal.h>
#include <string.h>

#include "../../docs/examples/handlers/sign.c" /* in the place of its own program */
#include "../support/files.h"
#include "../support/jobs.h"
#include "../support/process.h"
#include "../support/rogue.h"
#include "worker/serve.h"

#define DEADLINE_MS 30000
#define DATA "{\"total\":7}"

static char *self;

/* What another handler sees of the secret. */
static enum handler_result look(const struct handler_job *job,
    const struct handler_config *config, const struct handler_io *io, GString *out)
{
    (void)job, (void)config, (void)io;
    g_string_append(out, g_getenv("SIGN_KEY") ? "\"seen\"" : "\"hidden\"");
    return HANDLER_DONE;
}

static const struct handler look_handler = { .name = "look", .summary = "", .run = look };
static const struct handler *const table[] = { &sign_handler, &look_handler, NULL };

/* Starts a worker whose environment has the key ("": it has none). */
static struct test_process *start(const char *environment, const char *words)
{
    g_autofree char *program = test_program("ox-worker");
    g_autofree char *line =
        g_strdup_printf("unset SIGN_KEY; %s exec '%s' --redis '%s' --handler-program '%s' %s",
            environment, program, redis->url, self, words);
    const char *const argv[] = { "sh", "-c", line, NULL };
    return test_start(argv, NULL);
}

struct end_wait {
    const char *queue;
};

static bool has_ended(void *arg)
{
    const struct end_wait *wait = arg;
    return test_redis_int(redis, "ZCARD bull:%s:completed", wait->queue) == 1;
}

static void expect_result(struct test_process *worker, const char *queue, const char *wanted)
{
    struct end_wait wait = { queue };
    ox_client *client = NULL;
    ox_queue *jobs = NULL;
    ox_error err = { 0 };
    char *id = NULL;
    const ox_client_options options = { .url = redis->url };
    test_ok(ox_client_new(&client, &options, &err), &err);
    test_ok(ox_queue_new(&jobs, client, queue, NULL, &err), &err);
    test_ok(ox_queue_add(jobs, "do", DATA, NULL, &id, &err), &err);
    if (!test_wait_for(DEADLINE_MS, has_ended, &wait)) {
        g_autofree char *said = test_process_err(worker);
        test_fatal("the job of %s did not end: %s", queue, said);
    }
    g_autofree char *value = test_redis_text(redis, "HGET bull:%s:%s returnvalue", queue, id);
    assert_string_equal(value, wanted);
    ox_free(id);
    ox_queue_free(jobs);
    ox_client_free(client);
}

static void stop(struct test_process *worker, int status)
{
    test_process_signal(worker, SIGTERM);
    assert_int_equal(test_process_wait(worker, DEADLINE_MS), status);
    test_process_free(worker);
}

static void the_secret_is_the_handlers_own(void **state)
{
    (void)state;
    g_autofree char *digest = g_compute_hmac_for_string(
        G_CHECKSUM_SHA256, (const guchar *)"red wine", 8, DATA, strlen(DATA));
    g_autofree char *wanted = g_strdup_printf("\"%s\"", digest);
    struct test_process *worker = start("SIGN_KEY='red wine'", "signs=sign looks=look");
    expect_result(worker, "signs", wanted);
    expect_result(worker, "looks", "\"hidden\"");
    stop(worker, 0);
}

/* With the option the variable is not read, so it is no secret of this worker. */
static void the_option_takes_its_place(void **state)
{
    (void)state;
    g_autofree char *folder = test_dir_new(), *file = g_build_filename(folder, "key", NULL);
    g_autofree char *words = g_strdup_printf("--key-file '%s' filed=sign plain=look", file);
    g_autofree char *digest = g_compute_hmac_for_string(
        G_CHECKSUM_SHA256, (const guchar *)"white", 5, DATA, strlen(DATA));
    g_autofree char *wanted = g_strdup_printf("\"%s\"", digest);
    test_write(file, "white\n", -1);
    struct test_process *worker = start("SIGN_KEY='red wine'", words);
    expect_result(worker, "filed", wanted);
    expect_result(worker, "plain", "\"seen\"");
    stop(worker, 0);
    test_remove(folder);
}

static void a_missing_secret_is_told_at_the_start(void **state)
{
    (void)state;
    struct test_process *worker = start("", "signs=sign");
    assert_int_equal(test_process_wait(worker, DEADLINE_MS), 2);
    g_autofree char *err = test_process_err(worker);
    if (!strstr(err, "sign: no key: set SIGN_KEY, or name a file by --key-file"))
        test_fatal("%s", err);
    test_process_free(worker);
}

int main(int argc, char **argv)
{
    if (rogue_wanted(argc, argv))
        return serve_main(argc, argv, table);
    self = g_canonicalize_filename(argv[0], NULL);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_secret_is_the_handlers_own),
        cmocka_unit_test(the_option_takes_its_place),
        cmocka_unit_test(a_missing_secret_is_told_at_the_start),
    };
    int status = cmocka_run_group_tests(tests, test_server_up, test_server_down);
    g_free(self);
    return status;
}
