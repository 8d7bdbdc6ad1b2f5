/*
 * queue.c - a queue of a client: the public handle.
 */
#include "queue/queue.h"

#include "base/error.h"

#include <stdlib.h>

int ox_queue_new(ox_queue **out, ox_client *client, const char *name,
    const ox_queue_options *options, ox_error *err)
{
    OX__NEED(out, err);
    OX__NEED(client, err);
    OX__NEED(name, err);
    ox_queue *queue = calloc(1, sizeof(*queue));
    if (queue == NULL) {
        return ox__fail_memory(err);
    }
    int rc = ox__queue_at_init(
        &queue->at, options != NULL ? options->prefix : NULL, name, options, err);
    if (rc == 0 && options != NULL && options->batch > 500) {
        rc = ox__fail(err, OX_EINVAL, "batch must be 0..500");
    }
    if (rc < 0) {
        ox_queue_free(queue);
        return rc;
    }
    queue->client = client;
    if (options != NULL) {
        queue->options = *options;
        queue->options.prefix = NULL;
    }
    if (queue->options.batch == 0) {
        queue->options.batch = 50;
    }
    *out = queue;
    return 0;
}

void ox_queue_free(ox_queue *queue)
{
    if (queue != NULL) {
        ox__queue_at_done(&queue->at);
        ox__query_done(&queue->query);
        free(queue);
    }
}

const char *ox_queue_name(const ox_queue *queue)
{
    if (queue == NULL) {
        return NULL;
    }
    return queue->at.name;
}

const char *ox_queue_prefix(const ox_queue *queue)
{
    if (queue == NULL) {
        return NULL;
    }
    return queue->at.prefix;
}

int ox__queue_run(ox_queue *queue, int encoded, ox_error *err)
{
    return encoded < 0 ? encoded : ox__run(queue->client, &queue->query, err);
}
