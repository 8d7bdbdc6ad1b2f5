/*
 * place.c - where a job stands: how many run before it, and the lease of the one that runs it.
 */
#include "base/error.h"
#include "queue/queue.h"
#include "scripts.h"

static int decode(const struct ox__query *query, redisReply **reply, ox_error *err)
{
    int64_t found[2]; /* each plus 1 */
    int rc = ox__query_read_numbers(query, *reply, found, 2, err);
    if (rc == 0) {
        *(ox_place *)query->out =
            (ox_place){ .ahead = found[0] - 1, .lock_left_ms = found[1] - 1 };
    }
    return rc;
}

int ox_queue_place(ox_queue *queue, const char *id, ox_place *place, ox_error *err)
{
    OX__NEED(queue, err);
    OX__NEED(id, err);
    OX__NEED(place, err);
    struct ox__query *query = &queue->query;
    int rc = ox__query_job(query, &queue->at, &ox__script_read_place, id, err);
    if (rc < 0) {
        return rc;
    }
    ox__query_into(query, decode, place);
    return ox__run(queue->client, query, err);
}
