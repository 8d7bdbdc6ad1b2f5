/*
 * simple_worker.c - see simple_worker.h.
 */
#include "simple_worker.h"

#include "check.h"

#include <glib.h>
#include <ox.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#define WORD "simple-worker"
#define DEADLINE_MS 20000

static void work_on(ox_task *task, void *arg)
{
    (void)arg;
    const char *name = ox_job_text(ox_task_job(task), OX_JOB_NAME);
    const char *data = ox_job_text(ox_task_job(task), OX_JOB_DATA);
    if (!strcmp(name, "bad")) {
        const ox_failure failure = { .reason = "it went wrong",
            .stack = "Error: it went wrong\n    at there" };
        ox_task_log(task, "just before");
        ox_task_fail(task, &failure);
    } else if (strcmp(name, "stuck") != 0) {
        ox_task_progress(task, "50");
        ox_task_log(task, "first row");
        ox_task_log(task, "second row");
        ox_task_complete(task, data);
    }
}

static void stop_working(uv_signal_t *handle, int number)
{
    (void)number;
    uv_stop(handle->loop);
}

static void ready(ox_worker *worker, void *arg)
{
    (void)worker;
    (void)arg;
    puts("ready");
    fflush(stdout);
}

static int work(const char *url, const char *name)
{
    const ox_client_options client_options = { .url = url };
    const ox_worker_options options = { .name = "tester", .concurrency = 4, .ready = ready };
    ox_client *client = NULL;
    ox_queue *queue = NULL;
    ox_worker *worker = NULL;
    uv_signal_t stop;
    uv_loop_t *loop = uv_default_loop();
    if (ox_client_new(&client, &client_options, NULL) < 0 ||
        ox_queue_new(&queue, client, name, NULL, NULL) < 0 ||
        ox_worker_new(&worker, loop, queue, &options, work_on, NULL, NULL) < 0)
        return 1;
    uv_signal_init(loop, &stop);
    uv_signal_start(&stop, stop_working, SIGTERM);
    uv_run(loop, UV_RUN_DEFAULT);
    _exit(0);
}

int simple_worker_main(int argc, char **argv)
{
    return argc == 4 && !strcmp(argv[1], WORD) ? work(argv[2], argv[3]) : -1;
}

struct test_process *simple_worker_start(const char *url, const char *queue)
{
    g_autofree char *self = g_file_read_link("/proc/self/exe", NULL);
    const char *const argv[] = { self, WORD, url, queue, NULL };
    struct test_process *worker = test_start(argv, NULL);
    if (!test_process_says(worker, "ready", DEADLINE_MS))
        test_fatal("the worker is not ready");
    return worker;
}
