/*
 * test_lib_odd.c - answers that no Redis gives: every blocking operation must take them for an
 * error that names the queue, and never crash.
 *
 * The server here is a thread that reads commands, greets like Redis, answers the next command
 * with whatever the test has laid ready, and all later ones with an error.
 */
#include "../support/check.h"

#include <glib.h>
#include <ox.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../support/files.h"

/* ---- the server -------------------------------------------------------------------------- */

#define MAX_CONNECTIONS 64

struct server {
    char *dir, *url;
    GThread *thread;
    int listener;
    const char *ready; /* the next answer; NULL once it was given */
    struct pollfd fds[MAX_CONNECTIONS];
    GString *in[MAX_CONNECTIONS];
    nfds_t count;
};

/* Takes one command off the front of `in`: false when it is not whole yet. */
static bool take_command(GString *in, char name[16])
{
    char *at = in->str, *end = at, *stop = at + in->len;
    long parts = *at == '*' ? strtol(at + 1, &end, 10) : 0;
    if (parts < 1 || *end != '\r')
        return false;
    at = end + 2;
    for (long i = 0; i < parts; i++) {
        long len = at < stop && *at == '$' ? strtol(at + 1, &end, 10) : -1;
        if (len < 0 || *end != '\r' || end + 2 + len + 2 > stop)
            return false;
        if (i == 0)
            g_strlcpy(name, end + 2, MIN(16, (gsize)len + 1));
        at = end + 2 + len + 2;
    }
    g_string_erase(in, 0, at - in->str);
    return true;
}

static void answer(struct server *server, int fd, const char *name)
{
    const char *text = "+PONG\r\n";
    if (strcmp(name, "PING") != 0) {
        text = g_atomic_pointer_get(&server->ready);
        g_atomic_pointer_set(&server->ready, NULL);
        text = text ? text : "-ERR enough\r\n";
    }
    if (send(fd, text, strlen(text), MSG_NOSIGNAL) < 0)
        return; /* the client has gone; the next read says so */
}

static void drop(struct server *server, nfds_t i)
{
    close(server->fds[i].fd);
    g_string_free(server->in[i], TRUE);
    server->count--;
    server->fds[i] = server->fds[server->count];
    server->in[i] = server->in[server->count];
}

static void greet(struct server *server)
{
    int fd = accept(server->listener, NULL, NULL);
    if (fd < 0 || server->count == MAX_CONNECTIONS)
        abort();
    server->fds[server->count] = (struct pollfd){ .fd = fd, .events = POLLIN };
    server->in[server->count++] = g_string_new(NULL);
}

/* Ends when the listener does. */
static void *serve(void *arg)
{
    struct server *server = arg;
    char bytes[4096], name[16];
    server->fds[0] = (struct pollfd){ .fd = server->listener, .events = POLLIN };
    server->in[0] = g_string_new(NULL);
    server->count = 1;
    while (poll(server->fds, server->count, -1) >= 0 && !(server->fds[0].revents & POLLHUP)) {
        for (nfds_t i = server->count - 1; i > 0; i--) {
            ssize_t n =
                server->fds[i].revents ? read(server->fds[i].fd, bytes, sizeof(bytes)) : 0;
            if (n > 0)
                g_string_append_len(server->in[i], bytes, n);
            while (n > 0 && take_command(server->in[i], name))
                answer(server, server->fds[i].fd, name);
            if (server->fds[i].revents && n <= 0)
                drop(server, i);
        }
        if (server->fds[0].revents & POLLIN)
            greet(server);
    }
    while (server->count > 0)
        drop(server, server->count - 1);
    return NULL;
}

static int start(void **state)
{
    struct server *server = g_new0(struct server, 1);
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    server->dir = test_dir_new();
    g_autofree char *path = g_build_filename(server->dir, "s", NULL);
    server->url = g_strconcat("unix://", path, NULL);
    g_strlcpy(address.sun_path, path, sizeof(address.sun_path));
    server->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(server->listener, (struct sockaddr *)&address, sizeof(address)) < 0 ||
        listen(server->listener, 8) < 0)
        test_fatal("cannot listen on %s", path);
    server->thread = g_thread_new("server", serve, server);
    *state = server;
    return 0;
}

static int stop(void **state)
{
    struct server *server = *state;
    shutdown(server->listener, SHUT_RDWR);
    g_thread_join(server->thread);
    test_remove(server->dir);
    g_free(server->dir);
    g_free(server->url);
    g_free(server);
    return 0;
}

/* ---- the operations ---------------------------------------------------------------------- */

/* What an operation hands over is freed here, whatever came. */

static int64_t job(ox_queue *q, ox_error *err)
{
    ox_job *out = NULL;
    int state = 0, rc = ox_queue_job(q, "1", &out, &state, err);
    ox_job_free(out);
    return rc;
}

static int64_t job_state(ox_queue *q, ox_error *err)
{
    return ox_queue_job_state(q, "1", err);
}

static int64_t jobs(ox_queue *q, ox_error *err)
{
    ox_job **out = NULL;
    size_t count = 0;
    int rc = ox_queue_jobs(q, OX_WAITING, 0, -1, true, &out, &count, err);
    ox_list_free(out);
    return rc;
}

static int64_t failed_jobs(ox_queue *q, ox_error *err)
{
    ox_job **out = NULL;
    size_t count = 0;
    int rc = ox_queue_jobs(q, OX_FAILED, 0, -1, false, &out, &count, err);
    ox_list_free(out);
    return rc;
}

static int64_t counts(ox_queue *q, ox_error *err)
{
    ox_counts out;
    return ox_queue_counts(q, &out, err);
}

static int64_t priorities(ox_queue *q, ox_error *err)
{
    const uint32_t asked[] = { 0, 1 };
    int64_t out[2];
    return ox_queue_counts_by_priority(q, asked, 2, out, err);
}

static int64_t logs(ox_queue *q, ox_error *err)
{
    char **rows = NULL;
    size_t count = 0;
    int64_t total = 0;
    int rc = ox_queue_logs(q, "1", 0, -1, &rows, &count, &total, err);
    ox_list_free(rows);
    return rc;
}

static int64_t children(ox_queue *q, ox_error *err)
{
    ox_child **out = NULL;
    int rc = ox_queue_children(q, "1", &out, NULL, err);
    ox_list_free(out);
    return rc;
}

static int64_t info(ox_queue *q, ox_error *err)
{
    ox_queue_info out;
    return ox_queue_info_get(q, &out, err);
}

static int64_t metrics(ox_queue *q, ox_error *err)
{
    ox_metrics *out = NULL;
    int rc = ox_queue_metrics(q, OX_COMPLETED, &out, err);
    ox_free(out);
    return rc;
}

static int64_t workers(ox_queue *q, ox_error *err)
{
    ox_worker_info **out = NULL;
    size_t count = 0;
    int rc = ox_queue_workers(q, &out, &count, err);
    ox_list_free(out);
    return rc;
}

static int64_t add(ox_queue *q, ox_error *err)
{
    char *id = NULL;
    int rc = ox_queue_add(q, "n", "{}", NULL, &id, err);
    ox_free(id);
    return rc;
}

static int64_t add_own(ox_queue *q, ox_error *err)
{
    const ox_job_options options = { .id = "own" };
    char *id = NULL;
    int rc = ox_queue_add(q, "n", "{}", &options, &id, err);
    ox_free(id);
    return rc;
}

static int64_t retry(ox_queue *q, ox_error *err)
{
    return ox_queue_retry(q, "1", OX_FAILED, 0, err);
}

static int64_t retry_all(ox_queue *q, ox_error *err)
{
    return ox_queue_retry_all(q, OX_FAILED, 0, err);
}

static int64_t promote(ox_queue *q, ox_error *err)
{
    return ox_queue_promote(q, "1", err);
}

static int64_t remove_job(ox_queue *q, ox_error *err)
{
    return ox_queue_remove(q, "1", true, err);
}

static int64_t update_data(ox_queue *q, ox_error *err)
{
    return ox_queue_update_data(q, "1", "{}", err);
}

static int64_t update_progress(ox_queue *q, ox_error *err)
{
    return ox_queue_update_progress(q, "1", "1", err);
}

static int64_t add_log(ox_queue *q, ox_error *err)
{
    return ox_queue_add_log(q, "1", "row", 0, err);
}

static int64_t clear_logs(ox_queue *q, ox_error *err)
{
    return ox_queue_clear_logs(q, "1", 0, err);
}

static int64_t change_priority(ox_queue *q, ox_error *err)
{
    return ox_queue_change_priority(q, "1", 1, false, err);
}

static int64_t change_delay(ox_queue *q, ox_error *err)
{
    return ox_queue_change_delay(q, "1", 1, err);
}

static int64_t drop_dependency(ox_queue *q, ox_error *err)
{
    return ox_queue_remove_child_dependency(q, "1", err);
}

static int64_t remove_dedup(ox_queue *q, ox_error *err)
{
    return ox_queue_remove_dedup(q, "d", err);
}

static int64_t is_paused(ox_queue *q, ox_error *err)
{
    return ox_queue_is_paused(q, err);
}

static int64_t limit(ox_queue *q, ox_error *err)
{
    return ox_queue_set_concurrency(q, 1, err);
}

static int64_t drain(ox_queue *q, ox_error *err)
{
    return ox_queue_drain(q, true, err);
}

static int64_t clean(ox_queue *q, ox_error *err)
{
    return ox_queue_clean(q, OX_FAILED, 0, 0, NULL, NULL, err);
}

static int64_t events(ox_queue *q, ox_error *err)
{
    ox_events *out = NULL;
    int rc = ox_events_new(&out, q, NULL, err);
    ox_events_free(out);
    return rc;
}

/* These three take more than one answer to end. */

static int64_t next_event(ox_queue *q, ox_error *err)
{
    ox_events *out = NULL;
    ox_event event;
    int rc = ox_events_new(&out, q, "0", err);
    if (rc == 0)
        rc = ox_events_next(out, 20, &event, err);
    ox_events_free(out);
    return rc;
}

static int64_t pause_queue(ox_queue *q, ox_error *err)
{
    return ox_queue_pause(q, err);
}

static int64_t obliterate(ox_queue *q, ox_error *err)
{
    return ox_queue_obliterate(q, true, err);
}

static int64_t wait_job(ox_queue *q, ox_error *err)
{
    char *json = NULL;
    int rc = ox_queue_wait(q, "1", 20, &json, err);
    ox_free(json);
    return rc;
}

#define ROW(operation)                                                                         \
    {                                                                                          \
#operation, operation                                                                  \
    }
static const struct {
    const char *name;
    int64_t (*run)(ox_queue *q, ox_error *err);
} operations[] = { ROW(job), ROW(job_state), ROW(jobs), ROW(failed_jobs), ROW(counts),
    ROW(priorities), ROW(logs), ROW(children), ROW(info), ROW(metrics), ROW(workers), ROW(add),
    ROW(add_own), ROW(retry), ROW(retry_all), ROW(promote), ROW(remove_job), ROW(update_data),
    ROW(update_progress), ROW(add_log), ROW(clear_logs), ROW(change_priority),
    ROW(change_delay), ROW(drop_dependency), ROW(remove_dedup), ROW(is_paused), ROW(limit),
    ROW(drain), ROW(clean), ROW(events), ROW(pause_queue), ROW(obliterate), ROW(wait_job),
    ROW(next_event) };

/* An answer that fits no operation; a nil fits the last one: nothing happened in time. */
static const char *const never_good[] = { "+OK\r\n", "$-1\r\n", "*-1\r\n", "*1\r\n$-1\r\n",
    "*2\r\n$-1\r\n$-1\r\n", "*1\r\n*1\r\n*1\r\n:1\r\n" };

/* As long as what read_info answers. */
static const char long_answer[] = "*11\r\n:1\r\n*0\r\n$-1\r\n$1\r\nx\r\n$3\r\n1e9\r\n"
                                  "$5\r\n1e300\r\n:1\r\n:1\r\n:1\r\n:1\r\n:1\r\n";

/* Good for some; none may crash the others. */
static const char *const sometimes_good[] = { ":0\r\n", ":-1\r\n", ":-77\r\n",
    ":9223372036854775807\r\n", "$0\r\n\r\n", "$3\r\nfoo\r\n", "$2\r\na\n\r\n", "*0\r\n",
    "*1\r\n:1\r\n", "*2\r\n:1\r\n:2\r\n", "*2\r\n:2\r\n$-1\r\n", "*2\r\n$1\r\na\r\n*0\r\n",
    "*2\r\n$1\r\na\r\n*1\r\n$1\r\nb\r\n", "*2\r\n$4\r\nwait\r\n*2\r\n:1\r\n$-1\r\n",
    "*2\r\n:5\r\n*2\r\n:1\r\n$-1\r\n", "*2\r\n$1\r\n0\r\n*1\r\n:1\r\n",
    "*3\r\n:1\r\n:1\r\n:0\r\n", "*3\r\n:-5\r\n:-5\r\n:-5\r\n",
    "*3\r\n$1\r\nx\r\n$-1\r\n*1\r\n*0\r\n", "*4\r\n*1\r\n$1\r\na\r\n*0\r\n*0\r\n*0\r\n",
    "*4\r\n*2\r\n$1\r\na\r\n$-1\r\n*0\r\n*0\r\n*0\r\n",
    "*8\r\n:1\r\n:1\r\n:1\r\n:1\r\n:1\r\n:1\r\n:1\r\n$1\r\n1\r\n", long_answer,
    "*1\r\n*2\r\n$1\r\nk\r\n*1\r\n*2\r\n$3\r\n1-1\r\n*1\r\n$1\r\na\r\n",
    "*1\r\n*2\r\n$1\r\nk\r\n*1\r\n*2\r\n$3\r\nx-1\r\n*2\r\n$5\r\nevent\r\n$1\r\na\r\n",
    "*1\r\n*2\r\n$1\r\nk\r\n*1\r\n*2\r\n:1\r\n*2\r\n$5\r\nevent\r\n$-1\r\n",
    "*1\r\n*2\r\n$1\r\nk\r\n*1\r\n$-1\r\n" };

static void open_queue(struct server *server, ox_client **client, ox_queue **queue)
{
    const ox_client_options to = { .url = server->url, .connect_tries = 1 };
    ox_error err = { 0 };
    if (ox_client_new(client, &to, &err) < 0 ||
        ox_queue_new(queue, *client, "q", NULL, &err) < 0)
        test_fatal("%s", err.text);
}

static int64_t run_with(
    struct server *server, ox_queue *queue, size_t i, const char *reply, ox_error *err)
{
    memset(err, 0, sizeof(*err));
    g_atomic_pointer_set(&server->ready, (char *)reply);
    int64_t rc = operations[i].run(queue, err);
    g_atomic_pointer_set(&server->ready, NULL);
    if (rc < 0 && (err->code != rc || strlen(err->text) == 0))
        test_fatal("%s: %lld without a text", operations[i].name, (long long)rc);
    return rc;
}

static void reports_unexpected_reply_type(void **state)
{
    struct server *server = *state;
    ox_client *client = NULL;
    ox_queue *queue = NULL;
    ox_error err;
    open_queue(server, &client, &queue);
    for (size_t i = 0; i < G_N_ELEMENTS(operations); i++) {
        for (size_t j = 0; j < G_N_ELEMENTS(never_good); j++) {
            bool nil = never_good[j][1] == '-';
            int64_t rc = run_with(server, queue, i, never_good[j], &err);
            if (nil && operations[i].run == next_event)
                continue;
            if (rc != OX_EREPLY || !strstr(err.text, "queue q"))
                test_fatal("%s took %s: %lld %s", operations[i].name, never_good[j],
                    (long long)rc, err.text);
        }
    }
    ox_queue_free(queue);
    ox_client_free(client);
}

static void survives_odd_replies(void **state)
{
    struct server *server = *state;
    ox_client *client = NULL;
    ox_queue *queue = NULL;
    ox_error err;
    size_t refused = 0;
    open_queue(server, &client, &queue);
    for (size_t i = 0; i < G_N_ELEMENTS(operations); i++)
        for (size_t j = 0; j < G_N_ELEMENTS(sometimes_good); j++)
            refused += run_with(server, queue, i, sometimes_good[j], &err) < 0;
    assert_true(refused > G_N_ELEMENTS(operations) * G_N_ELEMENTS(sometimes_good) / 2);
    ox_queue_free(queue);
    ox_client_free(client);
}

static int durable(struct server *server, ox_client *client, const char *reply, int got[2])
{
    ox_error err = { 0 };
    g_atomic_pointer_set(&server->ready, (char *)reply);
    int rc = ox_client_wait_durable(client, 2, 20, &got[0], &got[1], &err);
    assert_true(rc >= 0 || strlen(err.text) > 0);
    return rc;
}

/* WAITAOF came with Redis 7.2; what it answers is known. */
static void durability_is_read_from_the_answer(void **state)
{
    struct server *server = *state;
    ox_client *client = NULL;
    ox_queue *queue = NULL;
    int got[2] = { 9, 9 };
    open_queue(server, &client, &queue);
    assert_int_equal(durable(server, client, "*2\r\n:1\r\n:3\r\n", got), 0);
    assert_int_equal(got[0], 1);
    assert_int_equal(got[1], 3);
    static const char *const odd[] = { "*2\r\n:1\r\n$1\r\n3\r\n", ":1\r\n", "+OK\r\n" };
    for (size_t i = 0; i < G_N_ELEMENTS(odd); i++) {
        assert_int_equal(durable(server, client, odd[i], got), OX_EREPLY);
        /* That connection is gone, and what it wrote is not known to be safe. */
        assert_int_equal(durable(server, client, NULL, got), OX_ELOST);
    }
    assert_int_equal(durable(server, client, "-ERR unknown command\r\n", got), OX_ESERVER);
    ox_queue_free(queue);
    ox_client_free(client);
}

#define NOW "*2\r\n$10\r\n1700000000\r\n$1\r\n0\r\n"

/* An answer too many, or one that cannot be the call's: those behind it go to no call. */
static void calls_stay_in_step_with_replies(void **state)
{
    static const char *const shifted[] = { NOW "+SURPLUS\r\n", NOW NOW NOW, ":1\r\n" NOW,
        "+OK\r\n:1\r\n:2\r\n" };
    struct server *server = *state;
    ox_client *client = NULL;
    ox_queue *queue = NULL;
    open_queue(server, &client, &queue);
    for (size_t i = 0; i < G_N_ELEMENTS(shifted); i++) {
        ox_error err = { 0 };
        int64_t now = 0;
        g_atomic_pointer_set(&server->ready, (char *)shifted[i]);
        int rc = ox_client_time(client, &now, &err);
        assert_int_equal(rc, g_str_has_prefix(shifted[i], NOW) ? 0 : OX_EREPLY);
        g_atomic_pointer_set(&server->ready, (char *)"*2\r\n$1\r\n7\r\n$1\r\n0\r\n");
        assert_int_equal(ox_client_time(client, &now, &err), 0);
        assert_int_equal(now, 7000);
    }
    ox_queue_free(queue);
    ox_client_free(client);
}

static void the_clients_own_operations_take_odd_answers_for_errors(void **state)
{
    static const char *const odd[] = { "+OK\r\n", "$-1\r\n", ":1\r\n", "*0\r\n",
        "*2\r\n:1\r\n:1\r\n", "*2\r\n$1\r\n0\r\n*1\r\n:1\r\n",
        "*2\r\n$30\r\n123456789012345678901234567890\r\n*0\r\n" };
    struct server *server = *state;
    ox_client *client = NULL;
    ox_queue *queue = NULL;
    open_queue(server, &client, &queue);
    for (size_t i = 0; i < G_N_ELEMENTS(odd); i++) {
        ox_error err = { 0 };
        char **names = NULL;
        size_t count = 0;
        int64_t now = 0;
        g_atomic_pointer_set(&server->ready, (char *)odd[i]);
        assert_int_equal(ox_client_time(client, &now, &err), OX_EREPLY);
        g_atomic_pointer_set(&server->ready, (char *)odd[i]);
        assert_int_equal(ox_client_queues(client, NULL, &names, &count, &err), OX_EREPLY);
    }
    ox_queue_free(queue);
    ox_client_free(client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(reports_unexpected_reply_type, start, stop),
        cmocka_unit_test_setup_teardown(survives_odd_replies, start, stop),
        cmocka_unit_test_setup_teardown(durability_is_read_from_the_answer, start, stop),
        cmocka_unit_test_setup_teardown(calls_stay_in_step_with_replies, start, stop),
        cmocka_unit_test_setup_teardown(
            the_clients_own_operations_take_odd_answers_for_errors, start, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
