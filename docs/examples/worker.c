/*
 * worker.c - runs the jobs of the queue "mail", four at a time, until SIGTERM or SIGINT.
 *
 * The loop belongs to the library: it keeps the locks of running jobs, so nothing may block
 * it. What takes time is done elsewhere, here on libuv's threads, and the task is ended back
 * on the loop. The server is REDIS_URL's, or this machine's.
 */
#include <ox.h>

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

struct delivery {
    uv_work_t work;
    ox_task *task;
    const char *data; /* the job's, good until the task is ended */
    bool delivered;
};

/* On a thread: touches nothing of the library. */
static void deliver(uv_work_t *work)
{
    struct delivery *delivery = work->data;
    delivery->delivered = strchr(delivery->data, '@') != NULL;
    uv_sleep(5);
}

/* Back on the loop. A job that is handed out twice after a crash is delivered twice: delivery
 * is at least once, so a real mailer would remember the job's id. */
static void delivered(uv_work_t *work, int status)
{
    struct delivery *delivery = work->data;
    ox_task *task = delivery->task;
    if (status == 0 && delivery->delivered) {
        ox_task_complete(task, "{\"delivered\": true}");
    } else {
        const ox_failure failure = { .reason = "there is no such address" };
        ox_task_log(task, "the address has no @");
        ox_task_fail(task, &failure);
    }
    free(delivery);
}

static void process(ox_task *task, void *arg)
{
    const ox_job *job = ox_task_job(task);
    struct delivery *delivery = calloc(1, sizeof(*delivery));
    (void)arg;
    if (delivery == NULL) {
        ox_task_release(task);
        return;
    }
    printf("%s %s, attempt %u\n", ox_job_text(job, OX_JOB_NAME), ox_job_id(job),
        ox_task_attempt(task));
    delivery->task = task;
    delivery->data = ox_job_text(job, OX_JOB_DATA);
    delivery->work.data = delivery;
    uv_queue_work(uv_default_loop(), &delivery->work, deliver, delivered);
}

static void on_error(ox_worker *worker, const char *job_id, const ox_error *err, void *arg)
{
    (void)worker;
    (void)arg;
    fprintf(stderr, "worker: %s%s%s\n", job_id != NULL ? job_id : "",
        job_id != NULL ? ": " : "", err->text);
}

static uv_signal_t signals[2];

static void on_closed(void *arg)
{
    (void)arg;
    puts("closed");
}

/* The first signal: takes no more, ends what runs, and then on_closed. */
static void on_signal(uv_signal_t *handle, int number)
{
    ox_worker *worker = handle->data;
    (void)number;
    ox_worker_close(worker, on_closed, NULL);
    for (size_t i = 0; i < 2; i++) {
        uv_close((uv_handle_t *)&signals[i], NULL);
    }
}

static void listen_for(uv_signal_t *handle, int number, ox_worker *worker)
{
    uv_signal_init(uv_default_loop(), handle);
    handle->data = worker;
    uv_signal_start(handle, on_signal, number);
}

static int start(ox_worker **worker, ox_error *err)
{
    const ox_client_options server = { .url = getenv("REDIS_URL") };
    const ox_worker_options options = { .name = "post", .concurrency = 4, .error = on_error };
    ox_client *client = NULL;
    ox_queue *mail = NULL;
    int rc = ox_client_new(&client, &server, err);
    if (rc == 0) {
        rc = ox_queue_new(&mail, client, "mail", NULL, err);
    }
    if (rc == 0) {
        rc = ox_worker_new(worker, uv_default_loop(), mail, &options, process, NULL, err);
    }
    /* The worker has connections of its own. */
    ox_queue_free(mail);
    ox_client_free(client);
    return rc;
}

int main(void)
{
    ox_worker *worker = NULL;
    ox_error err;
    if (start(&worker, &err) < 0) {
        fprintf(stderr, "worker: %s\n", err.text);
        return EXIT_FAILURE;
    }
    listen_for(&signals[0], SIGTERM, worker);
    listen_for(&signals[1], SIGINT, worker);
    uv_run(uv_default_loop(), UV_RUN_DEFAULT);
    uv_loop_close(uv_default_loop());
    return EXIT_SUCCESS;
}
