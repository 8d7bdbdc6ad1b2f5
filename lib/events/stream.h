/* stream.h - the public handle of a stream, for blocking calls. */
#ifndef OX_LIB_EVENTS_STREAM_H
#define OX_LIB_EVENTS_STREAM_H

#include "events/call.h"

struct ox_stream {
    ox_client *client;      /* borrowed */
    struct ox__queue_at at; /* `name` is the stream's, `base` what its keys begin with */
    char *source;
    uint32_t batch;
    struct ox__call_form form;
    struct ox__query query; /* scratch for one call at a time */
};

/* Second half of a blocking call: `encoded` is what the encoder returned. Errors name the
 * stream. */
int ox__stream_run(ox_stream *stream, int encoded, ox_error *err);
/* Fails with "stream NAME: " and `why`. */
int ox__stream_failed(const struct ox__queue_at *at, const ox_error *why, ox_error *err);

/* 0, or OX_EINVAL when that is no name of a stream or a group (`of`). */
int ox__stream_name_check(const char *of, const char *name, ox_error *err);

/* Begins a script call on a stream. Streams are no queues, so errors do not name one. */
void ox__stream_script(
    struct ox__query *query, const struct ox__queue_at *at, const struct ox__script *script);

#endif /* OX_LIB_EVENTS_STREAM_H */
