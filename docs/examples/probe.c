/*
 * probe.c - runs the jobs of the queue "probes", a hundred at a time, until SIGTERM or SIGINT:
 * is there somebody who answers at an address? The data of a job is one, "127.0.0.1:6379".
 *
 * No thread takes part. A job is a connection that is being made and a timer beside it; the
 * loop, which also keeps the locks, calls back when one of them has come to something. The
 * server is REDIS_URL's, or this machine's.
 */
#include <ox.h>

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

#define PATIENCE_MS 2000

/* One job. It lives until both handles are closed; its task ends before that. */
struct probe {
    ox_task *task;
    uv_tcp_t socket;
    uv_timer_t timer;
    uv_connect_t connect;
    int open_handles;
    uint64_t start_ms;
};

static void on_handle_closed(uv_handle_t *handle)
{
    struct probe *probe = handle->data;
    if (--probe->open_handles == 0) {
        free(probe);
    }
}

/* The task has ended. A connection that is still being made is called back with UV_ECANCELED.
 */
static void finish(struct probe *probe)
{
    probe->task = NULL;
    uv_close((uv_handle_t *)&probe->socket, on_handle_closed);
    uv_close((uv_handle_t *)&probe->timer, on_handle_closed);
}

static void on_connect(uv_connect_t *connect, int status)
{
    struct probe *probe = connect->data;
    char value[64];
    if (status == UV_ECANCELED) {
        return;
    }
    if (status == 0 || status == UV_ECONNREFUSED) {
        uint64_t ms = uv_now(uv_default_loop()) - probe->start_ms;
        snprintf(value, sizeof(value), "{\"open\": %s, \"ms\": %d}",
            status == 0 ? "true" : "false", (int)ms);
        ox_task_complete(probe->task, value);
    } else {
        const ox_failure failure = { .reason = uv_strerror(status) };
        ox_task_fail(probe->task, &failure);
    }
    finish(probe);
}

static void on_timeout(uv_timer_t *timer)
{
    struct probe *probe = timer->data;
    const ox_failure failure = { .reason = "no answer within 2 s" };
    ox_task_fail(probe->task, &failure);
    finish(probe);
}

/* Another worker may run the job: stop. The task is to be ended all the same. */
static void on_lock_lost(ox_task *task, void *arg)
{
    struct probe *probe = ox_task_data(task);
    (void)arg;
    ox_task_release(task);
    finish(probe);
}

/* "IP:PORT", with the quotes that it has as JSON. */
static bool read_address(const char *data, struct sockaddr_in *address)
{
    char host[16];
    int port, end = 0;
    return sscanf(data, "\"%15[0-9.]:%5d\"%n", host, &port, &end) == 2 && end > 0 &&
           data[end] == '\0' && uv_ip4_addr(host, port, address) == 0;
}

static void process(ox_task *task, void *arg)
{
    struct probe *probe = calloc(1, sizeof(*probe));
    struct sockaddr_in address;
    (void)arg;
    if (!read_address(ox_job_text(ox_task_job(task), OX_JOB_DATA), &address)) {
        const ox_failure failure = { .reason = "not an address", .unrecoverable = true };
        ox_task_fail(task, &failure);
        free(probe);
        return;
    }
    if (probe == NULL) {
        ox_task_release(task);
        return;
    }
    probe->task = task;
    probe->open_handles = 2;
    probe->start_ms = uv_now(uv_default_loop());
    probe->socket.data = probe->timer.data = probe->connect.data = probe;
    ox_task_set_data(task, probe);
    uv_timer_init(uv_default_loop(), &probe->timer);
    uv_timer_start(&probe->timer, on_timeout, PATIENCE_MS, 0);
    uv_tcp_init(uv_default_loop(), &probe->socket);
    int rc = uv_tcp_connect(
        &probe->connect, &probe->socket, (const struct sockaddr *)&address, on_connect);
    if (rc < 0) {
        on_connect(&probe->connect, rc);
    }
}

static void on_error(ox_worker *worker, const char *job_id, const ox_error *err, void *arg)
{
    (void)worker;
    (void)arg;
    fprintf(stderr, "probe: %s%s%s\n", job_id != NULL ? job_id : "", job_id != NULL ? ": " : "",
        err->text);
}

static uv_signal_t signals[2];

static void on_closed(void *arg)
{
    (void)arg;
    puts("closed");
}

/* Takes no more, ends what runs; then the loop has nothing left and returns. */
static void on_signal(uv_signal_t *handle, int number)
{
    ox_worker *worker = handle->data;
    (void)number;
    ox_worker_close(worker, on_closed, NULL);
    for (size_t i = 0; i < 2; i++) {
        uv_close((uv_handle_t *)&signals[i], NULL);
    }
}

static int start(ox_worker **worker, ox_error *err)
{
    const ox_client_options server = { .url = getenv("REDIS_URL") };
    const ox_worker_options options = {
        .concurrency = 100, .lock_lost = on_lock_lost, .error = on_error
    };
    ox_client *client = NULL;
    ox_queue *probes = NULL;
    int rc = ox_client_new(&client, &server, err);
    if (rc == 0) {
        rc = ox_queue_new(&probes, client, "probes", NULL, err);
    }
    if (rc == 0) {
        rc = ox_worker_new(worker, uv_default_loop(), probes, &options, process, NULL, err);
    }
    ox_queue_free(probes);
    ox_client_free(client);
    return rc;
}

int main(void)
{
    static const int numbers[] = { SIGTERM, SIGINT };
    ox_worker *worker = NULL;
    ox_error err;
    if (start(&worker, &err) < 0) {
        fprintf(stderr, "probe: %s\n", err.text);
        return EXIT_FAILURE;
    }
    for (size_t i = 0; i < 2; i++) {
        uv_signal_init(uv_default_loop(), &signals[i]);
        signals[i].data = worker;
        uv_signal_start(&signals[i], on_signal, numbers[i]);
    }
    uv_run(uv_default_loop(), UV_RUN_DEFAULT);
    uv_loop_close(uv_default_loop());
    return EXIT_SUCCESS;
}
