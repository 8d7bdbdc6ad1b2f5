/*
 * market.c - a car is posted: published once, it becomes a job in the queue "mail", and stays
 * in the stream "market", where it is read again.
 *
 *     market CAR
 *
 * A second run for the same car publishes nothing. The server is REDIS_URL's, or this
 * machine's.
 */
#include <ox.h>

#include <stdio.h>
#include <stdlib.h>

/* Once would be enough: a binding stays until it is removed. */
static int bind_queues(ox_stream *market, ox_error *err)
{
    const ox_job_options job = { .attempts = 3 };
    const ox_binding mail = {
        .pattern = "car.*", .queue = "mail", .job_name = "car", .job = &job
    };
    return ox_stream_bind(market, &mail, err);
}

/* With an id of its own a repeat is harmless, also when the reply to the first was lost. */
static int publish(ox_stream *market, const char *car, ox_error *err)
{
    char id[64], data[64];
    ox_published published;
    snprintf(id, sizeof(id), "posted-%.40s", car);
    snprintf(data, sizeof(data), "{\"to\": \"seller-%.30s@example.com\"}", car);
    const ox_new_event event = { .type = "car.posted", .id = id, .subject = car, .json = data };
    int rc = ox_stream_publish(market, &event, &published, err);
    if (rc == OX_ELOST || rc == OX_ETIMEOUT) {
        rc = ox_stream_publish(market, &event, &published, err);
    }
    if (rc >= 0) {
        printf("%s, %u job%s\n", published.duplicate ? "published before" : "published",
            published.jobs, published.jobs == 1 ? "" : "s");
    }
    return rc;
}

/* All that is in the stream of this car, from the first event on. */
static int read_back(ox_stream *market, const char *car, ox_error *err)
{
    const ox_tail_options part = { .from = "start", .to = "end", .subject = car };
    ox_tail *tail = NULL;
    ox_stream_event event;
    int rc = ox_tail_new(&tail, market, &part, err);
    while (rc >= 0 && (rc = ox_tail_next(tail, 0, &event, err)) > 0) {
        printf("event %lld: %s\n", (long long)event.number, event.type);
    }
    ox_tail_free(tail);
    return rc;
}

/* How many jobs a new queue would get of what is in the stream. Without dry_run it gets them.
 */
static int count_replay(ox_stream *market, ox_error *err)
{
    const ox_replay_options all = { .queue = "reports", .pattern = "car.>", .dry_run = true };
    ox_replayed replayed;
    int rc = ox_stream_replay(market, &all, &replayed, err);
    if (rc == 0) {
        printf("a replay would make %lld jobs\n", (long long)replayed.sent);
    }
    return rc;
}

static int run(ox_client *client, const char *car, ox_error *err)
{
    ox_stream *market = NULL;
    int rc = ox_stream_new(&market, client, "market", NULL, err);
    rc = rc < 0 ? rc : bind_queues(market, err);
    rc = rc < 0 ? rc : publish(market, car, err);
    rc = rc < 0 ? rc : read_back(market, car, err);
    rc = rc < 0 ? rc : count_replay(market, err);
    ox_stream_free(market);
    return rc;
}

int main(int argc, char **argv)
{
    const ox_client_options server = { .url = getenv("REDIS_URL") };
    ox_client *client = NULL;
    ox_error err;
    int rc = ox_client_new(&client, &server, &err);
    if (rc == 0) {
        rc = run(client, argc > 1 ? argv[1] : "17", &err);
    }
    if (rc < 0) {
        fprintf(stderr, "market: %s\n", err.text);
    }
    ox_client_free(client);
    return rc < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
