/* queue.h - the public handle of a queue, for blocking calls. */
#ifndef OX_LIB_QUEUE_H
#define OX_LIB_QUEUE_H

#include "queue/query.h"

struct ox_queue {
    ox_client *client; /* borrowed */
    struct ox__queue_at at;
    ox_queue_options options; /* its texts are not kept */
    struct ox__query query;   /* scratch for one call at a time */
};

/* Second half of a blocking call: `encoded` is what the encoder returned. */
int ox__queue_run(ox_queue *queue, int encoded, ox_error *err);

#endif /* OX_LIB_QUEUE_H */
