#include "streams.h"

#include "check.h"

#include <glib.h>
#include <string.h>

ox_stream *stream;
ox_error err;

int test_stream_up(void **state)
{
    if (test_queue_up(state) != 0)
        return -1;
    struct test_queue *q = *state;
    memset(&err, 0, sizeof(err));
    return ox_stream_new(&stream, q->client, NULL, NULL, &err);
}

int test_stream_down(void **state)
{
    ox_stream_free(stream);
    stream = NULL;
    return test_queue_down(state);
}

ox_published publish(const ox_new_event *event)
{
    ox_published out = { .jobs = 77 };
    test_ok(ox_stream_publish(stream, event, &out, &err), &err);
    return out;
}

ox_published publish_type(const char *type)
{
    const ox_new_event event = { .type = type };
    return publish(&event);
}

void publish_types(const char *type, int count)
{
    for (int i = 0; i < count; i++)
        publish_type(type);
}

void bind_queue(const char *pattern, const char *queue)
{
    const ox_binding binding = { .pattern = pattern, .queue = queue };
    test_ok(ox_stream_bind(stream, &binding, &err), &err);
}

long long number_of(const char *position)
{
    const char *dash = strchr(position, '-');
    assert_non_null(dash);
    return g_ascii_strtoll(dash + 1, NULL, 10);
}
