/* worker.c - see worker.h. */
#include "check.h"

#include <glib.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "worker.h"

struct test_process *test_worker_start(
    const char *url, const char *options, const char *const *words)
{
    g_auto(GStrv) list = g_strsplit(options, " ", -1);
    g_autoptr(GPtrArray) argv = g_ptr_array_new();
    const char *const first[] = { "ox-worker", "--redis", url };
    for (size_t i = 0; i < G_N_ELEMENTS(first); i++)
        g_ptr_array_add(argv, (char *)(uintptr_t)first[i]);
    for (char **word = list; *word; word++)
        if (**word)
            g_ptr_array_add(argv, *word);
    for (; *words; words++)
        g_ptr_array_add(argv, (char *)(uintptr_t)*words);
    g_ptr_array_add(argv, NULL);
    return test_start((const char *const *)argv->pdata, NULL);
}

void test_worker_says(struct test_process *worker, const char *text)
{
    if (!test_process_says(worker, text, TEST_WORKER_DEADLINE_MS)) {
        g_autofree char *err = test_process_err(worker);
        test_fatal("'%s' was not logged, but: %s", text, err);
    }
}

static bool is_connected(void *arg)
{
    g_autofree char *err = test_process_err(arg);
    return strstr(err, "event=connected") || strstr(err, "\"connected\"");
}

void test_worker_connects(struct test_process *worker)
{
    if (!test_wait_for(TEST_WORKER_DEADLINE_MS, is_connected, worker)) {
        g_autofree char *err = test_process_err(worker);
        test_fatal("the worker did not connect: %s", err);
    }
}

void test_worker_ends(struct test_process *worker, int status)
{
    int got = test_process_wait(worker, TEST_WORKER_DEADLINE_MS);
    g_autofree char *err = test_process_err(worker);
    if (got != status || strstr(err, "Sanitizer") || strstr(err, "runtime error"))
        test_fatal("exit status %d instead of %d; stderr: %s", got, status, err);
}

void test_worker_stop(struct test_process *worker)
{
    test_process_signal(worker, SIGTERM);
    test_worker_ends(worker, 0);
}

/* ---- Jobs -------------------------------------------------------------------------------- */

struct job_wait {
    ox_queue *queue;
    const char *id;
    int state, other;
};

static bool is_there(void *arg)
{
    const struct job_wait *wait = arg;
    int state = ox_queue_job_state(wait->queue, wait->id, NULL);
    return state == wait->state || state == wait->other;
}

static void await_job(const struct job_wait *wait, const struct test_process *worker)
{
    struct job_wait copy = *wait;
    if (test_wait_for(TEST_WORKER_DEADLINE_MS, is_there, &copy))
        return;
    int now = ox_queue_job_state(wait->queue, wait->id, NULL);
    g_autofree char *err = worker ? test_process_err(worker) : g_strdup("");
    size_t length = strlen(err);
    test_fatal("job %s is %s, not %s: ..%s", wait->id,
        ox_state_name(now < 0 ? OX_UNKNOWN : now), ox_state_name(wait->state),
        err + (length > 2000 ? length - 2000 : 0));
}

void test_job_ends(ox_queue *queue, const char *id, const struct test_process *worker)
{
    await_job(&(struct job_wait){ queue, id, OX_COMPLETED, OX_FAILED }, worker);
}

void test_job_is(ox_queue *queue, const char *id, int state, const struct test_process *worker)
{
    await_job(&(struct job_wait){ queue, id, state, state }, worker);
}

int test_notify_socket(const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    const struct timeval patience = { .tv_sec = TEST_WORKER_DEADLINE_MS / 1000 };
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(strlen(path) < sizeof address.sun_path);
    memcpy(address.sun_path, path, strlen(path));
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof address), 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    return fd;
}
