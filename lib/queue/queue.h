/* queue.h - the public handle of a queue, for those who send its operations and wait. */
#ifndef OX_LIB_QUEUE_H
#define OX_LIB_QUEUE_H

#include "queue/query.h"

struct ox_queue {
    ox_client *client; /* borrowed */
    struct ox__queue_at at;
    ox_queue_options options; /* its texts are not kept */
    struct ox__query query;   /* scratch for one call at a time */
};

#endif /* OX_LIB_QUEUE_H */
