/*
 * producer.c - puts jobs into the queue "mail" and waits for the first of them.
 *
 *     producer LETTERS
 *
 * Adds a welcome mail with options, a reminder for later, one mail that cannot be delivered,
 * and then as many letters as asked for, in a stream. The server is REDIS_URL's, or this
 * machine's.
 */
#include <ox.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static int complain(const ox_error *err)
{
    fprintf(stderr, "producer: %s\n", err->text);
    return -1;
}

/* A job id of our own makes the add safe to repeat: of several adds with one id the first
 * makes the job, the others do nothing. */
static int add_welcome(ox_queue *mail)
{
    const ox_job_options options = { .id = "welcome-ann",
        .attempts = 3,
        .backoff = { .type = "exponential", .delay_ms = 200 },
        .remove_on_complete = { .mode = OX_KEEP_SOME, .count = 1000 } };
    const char *data = "{\"to\": \"ann@example.com\"}";
    ox_error err;
    int rc = ox_queue_add(mail, "welcome", data, &options, NULL, &err);
    if (rc == OX_ELOST || rc == OX_ETIMEOUT) {
        rc = ox_queue_add(mail, "welcome", data, &options, NULL, &err);
    }
    return rc < 0 ? complain(&err) : 0;
}

static int add_others(ox_queue *mail)
{
    const ox_job_options later = { .delay_ms = 60 * 60 * 1000 };
    const ox_job_options twice = { .attempts = 2 };
    const ox_new_job jobs[] = {
        { .name = "reminder", .json = "{\"to\": \"ann@example.com\"}", .options = &later },
        { .name = "welcome", .json = "{\"to\": \"nobody\"}", .options = &twice },
    };
    char *ids[2];
    ox_error err;
    int rc = ox_queue_add_bulk(mail, jobs, 2, ids, &err);
    if (rc == 0) {
        printf("reminder is job %s\nno address in job %s\n", ids[0], ids[1]);
    }
    ox_free(ids[0]); /* each is NULL when its job was not added */
    ox_free(ids[1]);
    return rc < 0 ? complain(&err) : 0;
}

static void added(void *arg, uint64_t index, const char *id, int code, const ox_error *err)
{
    uint64_t *count = arg;
    (void)id;
    if (code < 0) {
        fprintf(stderr, "producer: letter %" PRIu64 ": %s\n", index, err->text);
    } else {
        ++*count;
    }
}

/* Any number of jobs in constant memory: the library gathers, sends and reads answers while
 * we put. */
static int add_letters(ox_queue *mail, long letters)
{
    uint64_t count = 0;
    ox_adder *adder;
    ox_error err;
    if (ox_adder_new(&adder, mail, added, &count, &err) < 0) {
        return complain(&err);
    }
    int rc = 0;
    for (long i = 0; i < letters && rc == 0; i++) {
        char data[64];
        snprintf(data, sizeof(data), "{\"to\": \"reader-%ld@example.com\"}", i);
        const ox_new_job job = { .name = "letter", .json = data };
        rc = ox_adder_put(adder, &job, &err); /* not 0: the stream has stopped */
    }
    rc = ox_adder_flush(adder, &err);
    ox_adder_free(adder);
    printf("added %" PRIu64 " letters\n", count);
    return rc < 0 ? complain(&err) : 0;
}

static int wait_for_welcome(ox_queue *mail)
{
    char *value;
    ox_error err;
    if (ox_queue_wait(mail, "welcome-ann", 20000, &value, &err) < 0) {
        return complain(&err);
    }
    printf("welcome: %s\n", value);
    ox_free(value);
    return 0;
}

int main(int argc, char **argv)
{
    const ox_client_options server = { .url = getenv("REDIS_URL") };
    long letters = argc > 1 ? strtol(argv[1], NULL, 10) : 10;
    ox_client *client = NULL;
    ox_queue *mail = NULL;
    ox_error err;
    int rc;

    if (ox_client_new(&client, &server, &err) < 0 ||
        ox_queue_new(&mail, client, "mail", NULL, &err) < 0) {
        rc = complain(&err);
    } else {
        rc = add_welcome(mail);
        rc = rc < 0 ? rc : add_others(mail);
        rc = rc < 0 ? rc : add_letters(mail, letters);
        rc = rc < 0 ? rc : wait_for_welcome(mail);
    }
    ox_queue_free(mail);
    ox_client_free(client);
    return rc < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
