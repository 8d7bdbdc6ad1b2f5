/*
 * warehouse.c - stores the clicks of the stream "clicks" in a file, in batches, as a member of
 * the group "warehouse". Run as many as you like: each event goes to one of them.
 *
 *     warehouse FILE     until SIGTERM or SIGINT
 *     warehouse -        lists the dead letters of the group, and has them run again
 *
 * The server is REDIS_URL's, or this machine's.
 */
#include <ox.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#define GROUP "warehouse"

/* ---- a member of the group --------------------------------------------------------------- */

/* Stores a batch. Nothing may block the loop for long, since it also renews the claims of what
 * runs: a database is better asked from a thread, and the batch ended back on the loop. After a
 * crash events come again, so what stores them should know them by their position. */
static void store(ox_batch *batch, void *arg)
{
    FILE *file = arg;
    size_t count = ox_batch_count(batch), bad = 0;
    size_t *failed = calloc(count, sizeof(*failed));
    if (failed == NULL) {
        ox_batch_delay(batch, 1000);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        char position[OX_POSITION_SIZE];
        const char *json = ox_batch_json(batch, i, NULL);
        ox_batch_position(batch, i, position);
        if (strstr(json, "\"page\"") != NULL) {
            fprintf(file, "%s\t%s\n", position, json);
        } else {
            failed[bad++] = i;
        }
    }
    if (fflush(file) != 0) {
        const ox_failure failure = { .reason = strerror(errno) };
        ox_batch_fail(batch, &failure); /* all of it runs again */
    } else if (bad > 0) {
        const ox_failure failure = { .reason = "the click has no page" };
        ox_batch_fail_some(batch, failed, bad, &failure, NULL); /* these alone do */
    } else {
        ox_batch_done(batch);
    }
    free(failed);
}

/* What a run came to, once the server has stored it. */
static void on_ended(ox_consumer *consumer, const ox_batch_end *end, void *arg)
{
    (void)consumer;
    (void)arg;
    printf("attempt %u: %zu done, %zu run again, %zu dead\n", end->attempt, end->done,
        end->again, end->dead);
    fflush(stdout);
}

static void on_notice(ox_consumer *consumer, int notice, const char *position,
    const char *reason, int64_t count, void *arg)
{
    (void)consumer;
    (void)arg;
    if (notice == OX_STREAM_DEAD) {
        fprintf(stderr, "warehouse: event %s is dead: %s\n", position, reason);
    } else if (notice == OX_STREAM_LOST) {
        fprintf(stderr, "warehouse: %lld events were removed unread\n", (long long)count);
    }
}

static void on_error(ox_consumer *consumer, const ox_error *err, void *arg)
{
    (void)consumer;
    (void)arg;
    fprintf(stderr, "warehouse: %s\n", err->text);
}

static uv_signal_t signals[2];

/* Takes no more, and stores the end of what runs; then the loop has nothing left. */
static void on_signal(uv_signal_t *handle, int number)
{
    (void)number;
    ox_consumer_close(handle->data, NULL, NULL);
    for (size_t i = 0; i < 2; i++) {
        uv_close((uv_handle_t *)&signals[i], NULL);
    }
}

static void listen_for(uv_signal_t *handle, int number, ox_consumer *consumer)
{
    uv_signal_init(uv_default_loop(), handle);
    handle->data = consumer;
    uv_signal_start(handle, on_signal, number);
}

/* The group begins with the oldest event that there is, unless it exists. */
static int start(ox_consumer **consumer, const ox_stream *clicks, FILE *file, ox_error *err)
{
    const ox_consumer_options options = { .from = "start",
        .batch_events = 1000,
        .wait_ms = 100,
        .attempts = 3,
        .backoff = { .type = "fixed", .delay_ms = 50 },
        .error = on_error,
        .batch_ended = on_ended,
        .notice = on_notice };
    return ox_consumer_new(
        consumer, uv_default_loop(), clicks, GROUP, &options, store, file, err);
}

/* ---- what it gave up --------------------------------------------------------------------- */

static int retry_dead(ox_stream *clicks, ox_error *err)
{
    ox_dead **dead = NULL;
    size_t count = 0;
    int rc = ox_dead_list(clicks, GROUP, NULL, 0, &dead, &count, err); /* the first hundred */
    if (rc < 0) {
        return rc;
    }
    for (size_t i = 0; i < count; i++) {
        printf("%s after %u attempts: %s\n", dead[i]->position, dead[i]->attempts,
            dead[i]->reason);
    }
    ox_list_free(dead);
    int64_t retried = ox_dead_retry(clicks, GROUP, NULL, 0, err);
    if (retried >= 0) {
        printf("%lld run again\n", (long long)retried);
    }
    return retried < 0 ? (int)retried : 0;
}

/* ---- main -------------------------------------------------------------------------------- */

static int open_clicks(ox_client **client, ox_stream **clicks, ox_error *err)
{
    const ox_client_options server = { .url = getenv("REDIS_URL") };
    int rc = ox_client_new(client, &server, err);
    return rc < 0 ? rc : ox_stream_new(clicks, *client, "clicks", NULL, err);
}

static int store_until_signal(ox_stream *clicks, const char *path, ox_error *err)
{
    ox_consumer *consumer = NULL;
    FILE *file = fopen(path, "a");
    if (file == NULL) {
        err->code = OX_EINVAL;
        snprintf(err->text, sizeof(err->text), "%s: %s", path, strerror(errno));
        return err->code;
    }
    int rc = start(&consumer, clicks, file, err);
    if (rc == 0) {
        listen_for(&signals[0], SIGTERM, consumer);
        listen_for(&signals[1], SIGINT, consumer);
        uv_run(uv_default_loop(), UV_RUN_DEFAULT);
    }
    uv_loop_close(uv_default_loop());
    fclose(file);
    return rc;
}

int main(int argc, char **argv)
{
    ox_client *client = NULL;
    ox_stream *clicks = NULL;
    ox_error err;
    if (argc != 2) {
        fprintf(stderr, "usage: warehouse FILE, or: warehouse -\n");
        return EXIT_FAILURE;
    }
    int rc = open_clicks(&client, &clicks, &err);
    if (rc == 0 && strcmp(argv[1], "-") == 0) {
        rc = retry_dead(clicks, &err);
    } else if (rc == 0) {
        rc = store_until_signal(clicks, argv[1], &err);
    }
    if (rc < 0) {
        fprintf(stderr, "warehouse: %s\n", err.text);
    }
    ox_stream_free(clicks);
    ox_client_free(client);
    return rc < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
