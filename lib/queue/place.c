/*
 * place.c - the place of a job: how many run before it, and the lock of the worker that runs
 * it.
 */
#include "base/error.h"
#include "queue/operations.h"
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

int ox__place_query(struct ox__query *query, const struct ox__queue_at *at, const char *id,
    ox_place *place, ox_error *err)
{
    int rc = ox__query_job(query, at, &ox__script_read_place, id, err);
    ox__query_into(query, decode, place);
    return rc;
}

int ox_queue_place(ox_queue *queue, const char *id, ox_place *place, ox_error *err)
{
    OX__NEED(queue, err);
    OX__NEED(id, err);
    OX__NEED(place, err);
    return ox__queue_run(
        queue, ox__place_query(&queue->query, &queue->at, id, place, err), err);
}
