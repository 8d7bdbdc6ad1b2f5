/*
 * operator.c - looks at the queue "mail" and puts right what failed.
 *
 *     operator [ADDRESS]
 *
 * Prints how many jobs each state has, and which failed and why. With an address, the failed
 * jobs get it and are tried again, and what is delayed runs at once. The server is
 * REDIS_URL's, or this machine's.
 */
#include <ox.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static int show_counts(ox_queue *mail, ox_error *err)
{
    ox_counts counts;
    int rc = ox_queue_counts(mail, &counts, err);
    for (int state = 0; rc == 0 && state < OX_UNKNOWN; state++) {
        printf("%-16s %" PRId64 "\n", ox_state_name(state), counts.of[state]);
    }
    return rc;
}

/* Gives a failed job another address, and lets it run with all its attempts. */
static int mend(ox_queue *mail, const char *id, const char *address, ox_error *err)
{
    char data[256];
    snprintf(data, sizeof(data), "{\"to\": \"%s\"}", address);
    int rc = ox_queue_update_data(mail, id, data, err);
    return rc < 0 ? rc : ox_queue_retry(mail, id, OX_FAILED, OX_RESET_ATTEMPTS_MADE, err);
}

static int handle_failed(ox_queue *mail, const char *address, ox_error *err)
{
    ox_job **jobs = NULL;
    size_t count = 0;
    int rc = ox_queue_jobs(mail, OX_FAILED, 0, 99, true, &jobs, &count, err);
    for (size_t i = 0; i < count && rc == 0; i++) {
        const char *reason = ox_job_text(jobs[i], OX_JOB_FAILED_REASON);
        printf("job %s failed after %" PRId64 " attempts: %s\n", ox_job_id(jobs[i]),
            ox_job_number(jobs[i], OX_JOB_ATTEMPTS_MADE, 0), reason != NULL ? reason : "");
        rc = address != NULL ? mend(mail, ox_job_id(jobs[i]), address, err) : 0;
    }
    ox_list_free(jobs);
    return rc;
}

static int run(ox_client *client, const char *address, ox_error *err)
{
    ox_queue *mail = NULL;
    int rc = ox_queue_new(&mail, client, "mail", NULL, err);
    if (rc == 0) {
        rc = show_counts(mail, err);
    }
    if (rc == 0) {
        rc = handle_failed(mail, address, err);
    }
    if (rc == 0 && address != NULL) {
        int64_t promoted = ox_queue_promote_all(mail, err);
        printf("promoted %" PRId64 "\n", promoted);
        rc = promoted < 0 ? (int)promoted : 0;
    }
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
        rc = run(client, argc > 1 ? argv[1] : NULL, &err);
    }
    if (rc < 0) {
        fprintf(stderr, "operator: %s\n", err.text);
    }
    ox_client_free(client);
    return rc < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
