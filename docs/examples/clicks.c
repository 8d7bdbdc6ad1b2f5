/*
 * clicks.c - publishes COUNT clicks to the stream "clicks" from a libuv loop, and says what
 * became of them.
 *
 *     clicks [COUNT]
 *
 * The publisher takes an event and returns at once; the outcome of each is called back, in
 * their order. It holds a bounded number of events: when there are that many, putting goes on
 * from `drained`. The server is REDIS_URL's, or this machine's.
 */
#include <ox.h>

#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

struct feed {
    ox_publisher *publisher;
    long next, count; /* the click that comes next, of so many */
    long published, failed;
    int rc; /* why no more can be put */
};

/* One outcome for each event that was taken; `data` is that of the put. */
static void on_published(
    void *arg, void *data, const ox_published *published, const ox_error *err)
{
    struct feed *feed = arg;
    (void)data;
    if (published != NULL) {
        feed->published++;
    } else {
        feed->failed++;
        fprintf(stderr, "clicks: %s\n", err->text);
    }
}

static int put(struct feed *feed, ox_error *err)
{
    char data[64];
    const ox_new_event click = { .type = "click", .json = data };
    /* Every thousandth says no page, as clicks of a faulty program might. */
    if (feed->next % 1000 == 999) {
        snprintf(data, sizeof(data), "{\"user\": %ld}", feed->next);
    } else {
        snprintf(data, sizeof(data), "{\"page\": \"/cars/%ld\"}", feed->next % 100);
    }
    return ox_publisher_put(feed->publisher, &click, NULL, err);
}

/* Puts clicks until all are put, or the publisher holds as many as it may: then it calls
 * `drained`, from where this goes on. */
static void put_some(ox_publisher *publisher, void *arg)
{
    struct feed *feed = arg;
    ox_error err;
    while (feed->next < feed->count && (feed->rc = put(feed, &err)) == 0) {
        feed->next++;
    }
    if (feed->rc == OX_ESTATE) {
        return;
    }
    if (feed->rc < 0) {
        fprintf(stderr, "clicks: %s\n", err.text);
    }
    ox_publisher_close(publisher, NULL, NULL); /* once each has its outcome */
}

/* The connection was lost. The publisher makes a new one, and sends again what had no answer.
 */
static void on_error(ox_publisher *publisher, const ox_error *err, void *arg)
{
    (void)publisher;
    (void)arg;
    fprintf(stderr, "clicks: %s\n", err->text);
}

static int start(struct feed *feed, ox_error *err)
{
    const ox_client_options server = { .url = getenv("REDIS_URL") };
    const ox_publisher_options options = {
        .most = 10000, .error = on_error, .drained = put_some
    };
    ox_client *client = NULL;
    ox_stream *clicks = NULL;
    int rc = ox_client_new(&client, &server, err);
    if (rc == 0) {
        rc = ox_stream_new(&clicks, client, "clicks", NULL, err);
    }
    if (rc == 0) {
        rc = ox_publisher_new(
            &feed->publisher, uv_default_loop(), clicks, &options, on_published, feed, err);
    }
    /* The publisher has a connection of its own. */
    ox_stream_free(clicks);
    ox_client_free(client);
    return rc;
}

int main(int argc, char **argv)
{
    struct feed feed = { .count = argc > 1 ? strtol(argv[1], NULL, 10) : 20000 };
    ox_error err;
    if (start(&feed, &err) < 0) {
        fprintf(stderr, "clicks: %s\n", err.text);
        return EXIT_FAILURE;
    }
    put_some(feed.publisher, &feed);
    uv_run(uv_default_loop(), UV_RUN_DEFAULT);
    uv_loop_close(uv_default_loop());
    printf("published %ld, failed %ld\n", feed.published, feed.failed);
    return feed.published == feed.count ? EXIT_SUCCESS : EXIT_FAILURE;
}
