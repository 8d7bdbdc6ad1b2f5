/*
 * streams.h - the stream "events" on a private server, and events that are published there.
 */
#ifndef OX_TESTS_STREAMS_H
#define OX_TESTS_STREAMS_H

#include <ox.h>

#include "jobs.h"

/** What the keys of the stream begin with. */
#define E "bull::ox:{events}:"

/** Of the test that runs. */
extern ox_stream *test_stream;
extern ox_error test_stream_error;
#define stream test_stream
#define err test_stream_error

/** A test that has `stream`, and as its state the queue of jobs.h. */
#define WITH_STREAM(test)                                                                      \
    cmocka_unit_test_setup_teardown(test, test_stream_up, test_stream_down)
int test_stream_up(void **state);
int test_stream_down(void **state);

ox_published publish(const ox_new_event *event);
ox_published publish_type(const char *type);
/** Publishes that many, one by one. */
void publish_types(const char *type, int count);
void bind_queue(const char *pattern, const char *queue);
/** The number of a position. */
long long number_of(const char *position);

#endif /* OX_TESTS_STREAMS_H */
