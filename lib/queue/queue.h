/* queue.h - what the library's files share about a queue. */
#ifndef OX_LIB_QUEUE_H
#define OX_LIB_QUEUE_H

#include "queue/query.h"

/* Where the keys of a queue are and how its scripts are to behave; shared by the blocking
 * queue and the worker. */
struct ox__queue_at {
    char *prefix, *name;
    char *base;    /* "prefix:name:" */
    char flags[4]; /* for the scripts: 'e' events, 'l' legacy pause */
    uint32_t max_events;
};

struct ox_queue {
    ox_client *client; /* borrowed */
    struct ox__queue_at at;
    ox_queue_options options; /* its texts are not kept */
    struct ox__query query;   /* scratch for one call at a time */
};

int ox__queue_at_init(struct ox__queue_at *at, const char *prefix, const char *name,
    const ox_queue_options *options, ox_error *err);
int ox__queue_at_copy(struct ox__queue_at *to, const struct ox__queue_at *from, ox_error *err);
void ox__queue_at_done(struct ox__queue_at *at);

/* 0, or OX_ENOTFOUND when no job can have that id (OX_EINVAL for NULL): it would name another
 * key of the queue. */
int ox__queue_id_check(const struct ox__queue_at *at, const char *id, ox_error *err);

/* 0, or OX_EINVAL when `json` is not valid JSON; `what` names it in the text. */
int ox__json_check(const char *json, const char *what, ox_error *err);

#endif /* OX_LIB_QUEUE_H */
