/*
 * test_support.c - the helpers of the tests themselves: what the other programs rely on.
 */
#include "../support/check.h"

#include <glib.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../support/files.h"
#include "../support/process.h"
#include "../support/redis.h"

static bool is_gone(void *path)
{
    return access(path, F_OK) != 0;
}

static void server_answers_and_leaves_nothing(void **state)
{
    (void)state;
    struct test_redis *redis = test_redis_start(NULL);
    g_autofree char *dir = g_strdup(redis->dir);
    assert_true(g_str_has_prefix(test_redis_url(redis), "unix:///"));
    assert_int_equal(test_redis_int(redis, "INCR %s", "n"), 1);
    assert_int_equal(test_redis_int(redis, "GET n"), 1);
    g_autofree char *missing = test_redis_text(redis, "GET none");
    assert_null(missing);
    test_redis_stop(redis);
    assert_true(is_gone(dir));
}

static void server_takes_more_arguments_and_survives_a_kill(void **state)
{
    (void)state;
    const char *const args[] = { "--requirepass", "sesame", "--appendonly", "yes",
        "--appendfsync", "always", NULL };
    struct test_redis *redis = test_redis_start(args);
    g_autofree char *done = test_redis_text(redis, "SET kept %s", "yes");
    assert_string_equal(done, "OK");
    test_redis_kill(redis);
    test_redis_revive(redis);
    g_autofree char *kept = test_redis_text(redis, "GET kept");
    assert_string_equal(kept, "yes");

    /* Without the password the same socket refuses. */
    redisContext *stranger = redisConnectUnix(redis->socket);
    redisReply *reply = redisCommand(stranger, "GET kept");
    assert_int_equal(reply->type, REDIS_REPLY_ERROR);
    freeReplyObject(reply);
    redisFree(stranger);
    test_redis_stop(redis);
}

static void program_has_stdin_and_stdout(void **state)
{
    (void)state;
    const char *const argv[] = { "sh", "-c", "cat; echo oops >&2; exit 3", NULL };
    g_autofree char *out = NULL;
    g_autofree char *err = NULL;
    assert_int_equal(test_run(argv, "hello", &out, &err), 3);
    assert_string_equal(out, "hello");
    assert_string_equal(err, "oops\n");
}

static void a_running_program_is_watched_and_stopped(void **state)
{
    (void)state;
    const char *const argv[] = { "sh", "-c", "echo ready; exec sleep 100", NULL };
    struct test_process *process = test_start(argv, NULL);
    assert_true(test_process_says(process, "ready", 5000));
    assert_int_equal(test_process_wait(process, 0), TEST_STILL_RUNNING);
    test_process_signal(process, SIGTERM);
    assert_int_equal(test_process_wait(process, 5000), 128 + SIGTERM);
    test_process_free(process);
}

/* A program that is killed, as by a time limit, takes its server and its folder with it. */
static void nothing_outlives_a_killed_test(void **state)
{
    (void)state;
    g_autofree char *self = g_file_read_link("/proc/self/exe", NULL);
    const char *const argv[] = { self, "hold", NULL };
    struct test_process *process = test_start(argv, NULL);
    assert_true(test_process_says(process, "\n", 10000));
    g_autofree char *said = test_process_out(process);
    g_auto(GStrv) words = g_strsplit(g_strstrip(said), " ", 2);
    assert_int_equal(access(words[1], F_OK), 0);
    test_process_signal(process, SIGKILL);
    assert_true(test_wait_for(5000, is_gone, words[1]));
    g_autofree char *proc = g_strconcat("/proc/", words[0], NULL);
    assert_true(test_wait_for(5000, is_gone, proc));
    test_process_free(process);
}

static int hold(void)
{
    struct test_redis *redis = test_redis_start(NULL);
    printf("%d %s\n", redis->pid, redis->dir);
    fflush(stdout);
    pause();
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(server_answers_and_leaves_nothing),
        cmocka_unit_test(server_takes_more_arguments_and_survives_a_kill),
        cmocka_unit_test(program_has_stdin_and_stdout),
        cmocka_unit_test(a_running_program_is_watched_and_stopped),
        cmocka_unit_test(nothing_outlives_a_killed_test),
    };
    if (argc > 1 && !strcmp(argv[1], "hold"))
        return hold();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
