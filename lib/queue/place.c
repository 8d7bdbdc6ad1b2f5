/*
 * place.c - where a job stands: how many run before it, and the lease of the one that runs it.
 */
#include "base/error.h"
#include "queue/queue.h"
#include "scripts.h"

int ox_queue_place(ox_queue *queue, const char *id, ox_place *place, ox_error *err)
{
    OX__NEED(queue, err);
    OX__NEED(id, err);
    OX__NEED(place, err);
    int64_t found[2]; /* each plus 1 */
    int rc = ox__queue_job_op(queue, &ox__script_read_place, id, err);
    rc = rc < 0 ? rc : ox__queue_numbers(queue, found, 2, err);
    if (rc == 0) {
        *place = (ox_place){ .ahead = found[0] - 1, .lock_left_ms = found[1] - 1 };
    }
    return rc;
}
