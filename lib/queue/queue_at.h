/*
 * queue_at.h - the location of a queue (the beginning of its keys), and flags for its scripts.
 */
#ifndef OX_LIB_QUEUE_AT_H
#define OX_LIB_QUEUE_AT_H

#include <ox.h>

/* Shared by the blocking queue and the worker. */
struct ox__queue_at {
    char *prefix, *name;
    char *base;    /* "prefix:name:" */
    char flags[4]; /* for the scripts: OX__FLAG_.. */
    uint32_t max_events;
};

int ox__queue_at_init(struct ox__queue_at *at, const char *prefix, const char *name,
    const ox_queue_options *options, ox_error *err);
int ox__queue_at_copy(struct ox__queue_at *to, const struct ox__queue_at *from, ox_error *err);
void ox__queue_at_done(struct ox__queue_at *at);

/* 0, or OX_ENOTFOUND when no job can have that id (OX_EINVAL for NULL): it would name another
 * key of the queue. */
int ox__queue_id_check(const struct ox__queue_at *at, const char *id, ox_error *err);

#endif /* OX_LIB_QUEUE_AT_H */
