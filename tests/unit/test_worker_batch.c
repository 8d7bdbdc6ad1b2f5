/*
 * test_worker_batch.c - batches of events as text, and what a handler says of single events.
 */
#include "../support/check.h"

#include <glib.h>
#include <string.h>

#include "base/json.h"
#include "worker/batch.h"

/* A batch of these events, whose positions are 9-1, 9-2 .. (g_free). */
static char *make(const char *const *events)
{
    g_autoptr(GString) text = g_string_new(NULL);
    for (int i = 0; events[i]; i++) {
        g_autofree char *position = g_strdup_printf("9-%d", i + 1);
        batch_put(text, events[i], strlen(events[i]), position);
    }
    batch_end(text);
    assert_true(ox__json_valid(text->str, text->len));
    return g_strdup(text->str);
}

static const char *const three[] = { "{\"id\":\"a\"}", "{\"id\":\"b,]\\n\"} ",
    "{\"data\":{\"x\":[1]}}", NULL };

static void is_an_array_with_an_event_a_line(void **state)
{
    (void)state;
    g_autofree char *text = make(three);
    assert_string_equal(text, "[{\"id\":\"a\",\"position\":\"9-1\"},\n"
                              "{\"id\":\"b,]\\n\",\"position\":\"9-2\"},\n"
                              "{\"data\":{\"x\":[1]},\"position\":\"9-3\"}]");
    size_t length;
    g_autofree char *lines = batch_lines(text, &length);
    assert_string_equal(lines, "{\"id\":\"a\",\"position\":\"9-1\"}\n"
                               "{\"id\":\"b,]\\n\",\"position\":\"9-2\"}\n"
                               "{\"data\":{\"x\":[1]},\"position\":\"9-3\"}\n");
    assert_int_equal(length, strlen(lines));
}

static void gives_events_as_they_were(void **state)
{
    (void)state;
    g_autofree char *text = make(three);
    const char *at = text;
    struct batch_event event;
    for (int i = 0; three[i]; i++) {
        assert_true(batch_next(&at, &event));
        g_autofree char *position = g_strndup(event.position, event.position_length);
        g_autofree char *wanted = g_strdup_printf("9-%d", i + 1);
        g_autofree char *bare = g_strndup(event.json, event.bare_length);
        g_autofree char *whole = g_strconcat(bare, "}", NULL);
        g_autofree char *was = g_strchomp(g_strdup(three[i]));
        assert_string_equal(position, wanted);
        assert_string_equal(whole, was);
    }
    assert_false(batch_next(&at, &event));
    const char *empty = "[]";
    assert_false(batch_next(&empty, &event));
}

/* Others may write such to a log. */
static void an_empty_event_stays_json(void **state)
{
    (void)state;
    static const char *const odd[] = { "{}", "{ } ", "{\"a\":1}", "{}", NULL };
    g_autofree char *text = make(odd);
    assert_string_equal(text, "[{\"position\":\"9-1\"},\n{ \"position\":\"9-2\"},\n"
                              "{\"a\":1,\"position\":\"9-3\"},\n{\"position\":\"9-4\"}]");
    const char *at = text;
    struct batch_event event;
    for (int i = 0; odd[i]; i++) {
        assert_true(batch_next(&at, &event));
        g_autofree char *whole = g_strdup_printf("%.*s}", (int)event.bare_length, event.json);
        assert_true(ox__json_valid(whole, strlen(whole)));
        g_autofree char *position = g_strndup(event.position, event.position_length);
        g_autofree char *wanted = g_strdup_printf("9-%d", i + 1);
        assert_string_equal(position, wanted);
    }
    assert_false(batch_next(&at, &event));
}

/* What is returned names these places, or is wrong in this way. */
static void expect_failed(const char *returned, const char *places, const char *problem)
{
    g_autofree char *text = make(three), *said = NULL;
    g_autoptr(GArray) failed = g_array_new(FALSE, FALSE, sizeof(guint32));
    g_autoptr(GString) written = g_string_new(NULL);
    bool good = batch_read_failures(text, returned, failed, &said);
    if (g_strcmp0(said, problem) != 0 || good != (problem == NULL))
        test_fatal("%s: %s; not %s", returned, said ? said : "(good)", problem);
    batch_write_places(failed, written);
    if (good)
        assert_string_equal(written->str, places);
}

static void reads_which_events_failed(void **state)
{
    (void)state;
    static const char *const none[] = { "", "null", "7", "\"no batchItemFailures\"", "{}",
        "{\"batchItemFailures\":null}", "{\"batchItemFailures\":[]}", "{\"rows\":3}",
        "{\"batchItemFailures\":[],\"a\":{\"batchItemFailures\":1}}",
        "{\"a\":\"of batchItemFailures\"}" };
    for (size_t i = 0; i < G_N_ELEMENTS(none); i++)
        expect_failed(none[i], "", NULL);
    static const char *const hidden[] = { "{\"batchItemFailures\":[",
        "[{\"batchItemFailures\":1}]", "\"stored 2\\n{\\\"batchItemFailures\\\":[]}\"",
        "\"{\\\"batchItemFailures\\\":[{\"", "{\"a\":{\"batchItemFailures\":[]}}",
        "{\"statusCode\":200,\"body\":\"{\\\"batchItemFailures\\\":[{\\\"itemIdentifier\\\":"
        "\\\"9-2\\\"}]}\"}",
        "{\"body\":\"{\\u0022batchItemFailures\\u0022:[{\\u0022itemIdentifier\\u0022:"
        "\\u00229-2\\u0022}]}\"}" };
    for (size_t i = 0; i < G_N_ELEMENTS(hidden); i++)
        expect_failed(hidden[i], NULL,
            "bad output: batchItemFailures is in it, but not as a member of one JSON object "
            "that "
            "is all of it");
    expect_failed("{\"batchItemFailures\":[{\"itemIdentifier\":\"9-2\"}]}", "1", NULL);
    expect_failed("{\"x\":1,\"batchItemFailures\": [ {\"itemIdentifier\":\"9-3\",\"why\":1}, "
                  "{\"itemIdentifier\":\"9-1\"},{\"itemIdentifier\":\"9-3\"}]}",
        "0 2", NULL);
    expect_failed(
        "{\"batchItemFailures\":{}}", NULL, "bad output: batchItemFailures is not an array");
    static const char *const items[] = { "\"9-1\"", "{}", "{\"itemIdentifier\":9}",
        "{\"itemIdentifier\":null}", "[]" };
    for (size_t i = 0; i < G_N_ELEMENTS(items); i++) {
        g_autofree char *returned = g_strdup_printf("{\"batchItemFailures\":[%s]}", items[i]);
        expect_failed(returned, NULL,
            "bad output: an item of batchItemFailures is not "
            "{\"itemIdentifier\":\"POSITION\"}");
    }
    expect_failed("{\"batchItemFailures\":[{\"itemIdentifier\":\"9-4\"}]}", NULL,
        "bad output: batchItemFailures names \"9-4\", which is not the position of an event of "
        "the "
        "batch");
}

static void places_are_read_strictly(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int count; /* -1: wrong */
    } rows[] = { { "", 0 }, { "0", 1 }, { "0 2", 2 }, { "3", -1 }, { "-1", -1 }, { " 1", -1 },
        { "1 ", -1 }, { "1  2", -1 }, { "+1", -1 }, { "x", -1 }, { "1,2", -1 },
        { "99999999999999999999", -1 }, { "0 0 0", 3 }, { "0 0 0 0", -1 } };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GArray) places = g_array_new(FALSE, FALSE, sizeof(guint32));
        int count = batch_read_places(rows[i].text, 3, places) ? (int)places->len : -1;
        if (count != rows[i].count)
            test_fatal("\"%s\": %d", rows[i].text, count);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_an_array_with_an_event_a_line),
        cmocka_unit_test(gives_events_as_they_were),
        cmocka_unit_test(an_empty_event_stays_json),
        cmocka_unit_test(reads_which_events_failed),
        cmocka_unit_test(places_are_read_strictly),
    };
    return cmocka_run_group_tests_name("batch", tests, NULL, NULL);
}
