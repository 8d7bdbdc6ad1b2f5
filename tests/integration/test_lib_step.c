/*
 * test_lib_step.c - a worker whose connection loses one reply: each that comes after it would
 * be taken for the answer to the request before. It is noticed by the kind of the reply, the
 * connection is made anew, and what was asked is asked again.
 *
 * Between the worker and the server stands a relay that can swallow one number.
 */
#include "../support/check.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../support/engine.h"
#include "../support/files.h"

static char *server_path;
static gint swallow; /* the next reply that begins a read and is a number */
static gint swallowed;

static int socket_at(const char *path, bool serves)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    g_strlcpy(address.sun_path, path, sizeof(address.sun_path));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int rc = serves ? bind(fd, (struct sockaddr *)&address, sizeof(address))
                    : connect(fd, (struct sockaddr *)&address, sizeof(address));
    if (fd < 0 || rc < 0 || (serves && listen(fd, 16) < 0))
        test_fatal("no socket at %s", path);
    return fd;
}

static bool send_all(int fd, const char *bytes, size_t count)
{
    while (count > 0) {
        ssize_t n = send(fd, bytes, count, MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        bytes += n;
        count -= (size_t)n;
    }
    return true;
}

/* Where a stream of replies is: in a bulk string, in a line, in an array. */
struct reader {
    size_t bulk; /* bytes left of a bulk string and its line end */
    long nested; /* elements left of arrays; 0: at the start of a reply */
    char line[64];
    size_t len;
};

/* A line that has ended. True when it is to be left out: a whole reply that is a number. */
static bool end_line(struct reader *reader)
{
    long count = strtol(reader->line + 1, NULL, 10);
    bool inside = reader->nested > 0;
    reader->nested -= inside ? 1 : 0;
    if (reader->line[0] == '*' && count > 0)
        reader->nested += count;
    else if (reader->line[0] == '$' && count >= 0)
        reader->bulk = (size_t)count + 2;
    return !inside && reader->line[0] == ':' &&
           g_atomic_int_compare_and_exchange(&swallow, 1, 0);
}

/* Copies what came but for the one reply that is swallowed; `out` has room for all of it and a
 * line. (An error may be longer than a line here; only its start counts.) */
static size_t pass_on(struct reader *reader, const char *bytes, size_t n, char *out)
{
    size_t len = 0;
    for (size_t i = 0; i < n; i++) {
        out[len++] = bytes[i];
        if (reader->bulk > 0) {
            reader->bulk--;
            continue;
        }
        if (reader->len + 1 < sizeof(reader->line))
            reader->line[reader->len++] = bytes[i];
        if (bytes[i] != '\n')
            continue;
        reader->line[reader->len] = '\0';
        if (end_line(reader)) {
            len -= reader->len; /* a number comes whole, so all of it is here */
            g_atomic_int_set(&swallowed, 1);
        }
        reader->len = 0;
    }
    return len;
}

/* Copies one way until either end is closed. */
static void copy(int from, int to, bool replies)
{
    char bytes[4096], out[sizeof(bytes) + 64];
    struct reader reader = { .bulk = 0 };
    ssize_t n;
    while ((n = recv(from, bytes, sizeof(bytes), 0)) > 0) {
        const char *send_from = bytes;
        size_t len = (size_t)n;
        if (replies) {
            len = pass_on(&reader, bytes, len, out);
            send_from = out;
        }
        if (!send_all(to, send_from, len))
            break;
    }
    shutdown(from, SHUT_RDWR);
    shutdown(to, SHUT_RDWR);
}

struct pair {
    int client, server;
};

static gpointer copy_replies(gpointer arg)
{
    struct pair *pair = arg;
    copy(pair->server, pair->client, true);
    return NULL;
}

static gpointer relay_one(gpointer arg)
{
    struct pair pair = { .client = GPOINTER_TO_INT(arg),
        .server = socket_at(server_path, false) };
    GThread *back = g_thread_new("replies", copy_replies, &pair);
    copy(pair.client, pair.server, false);
    g_thread_join(back);
    close(pair.client);
    close(pair.server);
    return NULL;
}

/* Until the socket is shut down; ends when all connections have. */
static gpointer relay(gpointer arg)
{
    int fd, listener = GPOINTER_TO_INT(arg);
    g_autoptr(GPtrArray) threads = g_ptr_array_new();
    while ((fd = accept(listener, NULL, NULL)) >= 0)
        g_ptr_array_add(threads, g_thread_new("relay", relay_one, GINT_TO_POINTER(fd)));
    for (guint i = 0; i < threads->len; i++)
        g_thread_join(threads->pdata[i]);
    return NULL;
}

static void detects_missing_reply(void **state)
{
    (void)state;
    g_autofree char *dir = test_dir_new();
    g_autofree char *path = g_build_filename(dir, "s", NULL);
    g_autofree char *url = g_strconcat("unix://", path, NULL);
    server_path = engine->redis->url + strlen("unix://");
    int listener = socket_at(path, true);
    GThread *thread = g_thread_new("relay", relay, GINT_TO_POINTER(listener));
    const ox_client_options options = { .url = url };
    ox_error err = { 0 };
    ox_client *client = NULL;
    ox_queue *own = engine->queue, *queue = NULL;
    assert_int_equal(ox_client_new(&client, &options, &err), 0);
    assert_int_equal(ox_queue_new(&queue, client, "q", NULL, &err), 0);

    g_autofree char *id = engine_add("hold", NULL);
    engine->queue = queue;
    engine_start();
    engine->queue = own;
    engine_wait_started(1);
    ox_task *task = g_ptr_array_index(engine->held, 0);
    g_atomic_int_set(&swallow, 1);
    assert_int_equal(ox_task_progress(task, "1"), 0);
    ox_task_complete(task, "2");
    engine_wait_completed(1);
    assert_int_equal(g_atomic_int_get(&swallowed), 1);
    assert_true(engine_turn_until(engine_has_errors, ENGINE_DEADLINE_MS));
    assert_non_null(strstr(engine->last_error, "may belong to another command"));
    engine_expect_field(id, "progress", "1");
    engine_expect_field(id, "returnvalue", "2");
    engine_close();

    ox_queue_free(queue);
    ox_client_free(client);
    shutdown(listener, SHUT_RDWR);
    g_thread_join(thread);
    close(listener);
    test_remove(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(detects_missing_reply, engine_up, engine_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
