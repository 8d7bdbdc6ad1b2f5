/*
 * watcher.c - prints the events of the queue "mail", from the first that Redis has kept.
 *
 *     watcher [COUNT]
 *
 * Ends when COUNT jobs have completed, else never. The server is REDIS_URL's, or this
 * machine's.
 */
#include <ox.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* All of an event is borrowed until the next one is asked for. */
static void show(const ox_event *event)
{
    printf(
        "%s %s %s", event->stream_id, event->name, event->job_id != NULL ? event->job_id : "-");
    for (size_t i = 0; i < event->field_count; i += 2) {
        printf(" %s=%s", event->fields[i], event->fields[i + 1]);
    }
    putchar('\n');
}

/* A reader survives a lost connection: the call that met it fails, the next one goes on behind
 * the last event. */
static int follow(ox_events *events, long count, ox_error *err)
{
    while (count != 0) {
        ox_event event;
        int rc = ox_events_next(events, 1000, &event, err);
        if (rc == OX_ELOST) {
            fprintf(stderr, "watcher: %s\n", err->text);
        } else if (rc < 0) {
            return rc;
        } else if (rc > 0) {
            show(&event);
            count -= strcmp(event.name, "completed") == 0 ? 1 : 0;
        }
    }
    return 0;
}

static int run(ox_client *client, long count, ox_error *err)
{
    ox_queue *mail = NULL;
    ox_events *events = NULL;
    int rc = ox_queue_new(&mail, client, "mail", NULL, err);
    if (rc == 0) {
        rc = ox_events_new(&events, mail, "0", err);
    }
    if (rc == 0) {
        rc = follow(events, count, err);
    }
    ox_events_free(events);
    ox_queue_free(mail);
    return rc;
}

int main(int argc, char **argv)
{
    const ox_client_options server = { .url = getenv("REDIS_URL") };
    ox_client *client = NULL;
    ox_error err;
    int rc = ox_client_new(&client, &server, &err);
    if (rc == 0) {
        rc = run(client, argc > 1 ? strtol(argv[1], NULL, 10) : -1, &err);
    }
    if (rc < 0) {
        fprintf(stderr, "watcher: %s\n", err.text);
    }
    ox_client_free(client);
    return rc < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
