/*
 * test_events.c - patterns of types, events as CloudEvents want them, and entries of a log.
 */
#include "../support/check.h"

#include <glib.h>
#include <string.h>
#include <zlib.h>

#include "lib/base/json.h"
#include "lib/events/event.h"
#include "lib/events/pack.h"
#include "lib/events/pattern.h"

static ox_error err;

/* ---- patterns ---------------------------------------------------------------------------- */

static void patterns_match_by_segments(void **state)
{
    static const struct {
        const char *pattern, *type;
        bool matches;
    } rows[] = {
        { "a", "a", true },
        { "a", "b", false },
        { "a", "a.b", false },
        { "a.b", "a", false },
        { "*", "a", true },
        { "*", "a.b", false },
        { "a.*", "a.b", true },
        { "a.*", "a", false },
        { "a.*", "a.b.c", false },
        { "*.b", "a.b", true },
        { "*.b", "a.c", false },
        { ">", "a", true },
        { ">", "a.b.c", true },
        { ">", "", false },
        { "a.>", "a", false },
        { "a.>", "a.b", true },
        { "a.>", "a.b.c", true },
        { "*.>", "a.b", true },
        { "*.>", "a", false },
        { "a-b", "axb", false },
        { "a", "aa", false },
        { "aa", "a", false },
    };
    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        if (ox__pattern_matches(rows[i].pattern, rows[i].type) != rows[i].matches)
            test_fatal("%s, %s", rows[i].pattern, rows[i].type);
    }
}

static void types_and_patterns_are_checked(void **state)
{
    static const char *const bad[] = { "", ".", "a.", ".a", "a..b", "a b", "a\n", "a:b",
        "\xc3\xa4", "1.2.3.4.5.6.7.8.9.10.11.12.13.14.15.16.17" };
    static const char *const wild[] = { "*", "a.*", ">", "a.>" };
    static const char *const odd[] = { "**", "a*", "*a", ">.a", "a>", "a.>>" };
    (void)state;
    g_autofree char *longest = g_strnfill(255, 'a');
    g_autofree char *longer = g_strnfill(256, 'a');
    assert_int_equal(ox__type_check(longest, &err), 0);
    assert_int_equal(ox__type_check(longer, &err), OX_EINVAL);
    assert_int_equal(ox__type_check("1.2.3.4.5.6.7.8.9.10.11.12.13.14.15.16", &err), 0);
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        assert_int_equal(ox__type_check(bad[i], &err), OX_EINVAL);
        assert_int_equal(ox__pattern_check(bad[i], &err), OX_EINVAL);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(wild); i++) {
        assert_int_equal(ox__type_check(wild[i], &err), OX_EINVAL);
        assert_int_equal(ox__pattern_check(wild[i], &err), 0);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(odd); i++)
        assert_int_equal(ox__pattern_check(odd[i], &err), OX_EINVAL);
}

/* ---- events ------------------------------------------------------------------------------ */

static void expect_json(const ox_new_event *event, const char *wants)
{
    struct ox__lines lines = { .count = 0 };
    struct ox__event_maker maker = { .source = "/ox/me" };
    if (ox__lines_add(&lines, &maker, event, &err) < 0)
        test_fatal("%s", err.text);
    const struct ox__event_row *row = &lines.rows[0];
    g_autofree char *text = g_strndup(lines.text.data + row->at, row->len);
    assert_string_equal(text, wants);
    g_autofree char *type =
        g_strdup_printf("\"type\":\"%.*s\"", (int)row->type_len, text + row->type_at);
    assert_non_null(strstr(wants, type));
    ox__lines_done(&lines);
}

static void members_and_json_make_one_event(void **state)
{
    (void)state;
    expect_json(&(ox_new_event){ .type = "a",
                    .id = "1",
                    .time_ms = 1,
                    .partition_key = "k",
                    .trace_parent = "00-x",
                    .json = " {\"a\" : [1, \"x \\\" y\"]}\n" },
        "{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"/ox/me\",\"type\":\"a\",\"time\":"
        "\"1970-01-01T00:00:00.001Z\",\"datacontenttype\":\"application/json\","
        "\"partitionkey\":\"k\",\"traceparent\":\"00-x\",\"data\":{\"a\":[1,\"x \\\" y\"]}}");
    expect_json(
        &(ox_new_event){ .subject = "s",
            .event =
                "{\n \"type\": \"a.b\", \"id\": \"2\", \"source\": \"urn:x\", \"time\": "
                "\"2026-01-31T10:00:00+01:00\", \"subject\": \"old\", \"ext\": 7, \"off\": "
                "null, \"data\": 1e400, \"specversion\": \"1.0\" }" },
        "{\"specversion\":\"1.0\",\"id\":\"2\",\"source\":\"urn:x\",\"type\":\"a.b\",\"time\":"
        "\"2026-01-31T10:00:00+01:00\",\"datacontenttype\":\"application/json\",\"subject\":"
        "\"s\",\"ext\":7,\"data\":1e400}");
    expect_json(
        &(ox_new_event){
            .id = "3", .time_ms = 1, .event = "{\"type\":\"a\",\"data_base64\":\"AAA=\"}" },
        "{\"specversion\":\"1.0\",\"id\":\"3\",\"source\":\"/ox/me\",\"type\":\"a\",\"time\":"
        "\"1970-01-01T00:00:00.001Z\",\"data_base64\":\"AAA=\"}");
}

static void expect_key(const struct ox__lines *lines, size_t i, const char *sum)
{
    assert_string_equal(lines->rows[i].key, sum);
}

static void key_is_made_of_source_and_id(void **state)
{
    (void)state;
    const ox_new_event event = { .type = "a", .id = "1", .source = "/s" };
    const ox_new_event other = { .type = "a", .source = "/\"" };
    const ox_new_event odd = { .type = "a", .event = "{\"id\":\"\\u0022\\n\"}" };
    struct ox__lines lines = { .count = 0 };
    struct ox__event_maker maker = { .source = "/x" };
    assert_int_equal(ox__lines_add(&lines, &maker, &event, &err), 0);
    assert_true(lines.rows[0].known);
    g_autofree char *sum =
        g_compute_checksum_for_data(G_CHECKSUM_SHA1, (const guchar *)"/s\0001", 4);
    expect_key(&lines, 0, sum);
    /* Made later, of the line. */
    lines.rows[0].key[0] = '\0';
    assert_int_equal(ox__lines_key(&lines, 0, &err), 0);
    expect_key(&lines, 0, sum);
    /* A bad event between others leaves no trace. */
    assert_int_equal(ox__lines_add(&lines, &maker, &other, &err), OX_EINVAL);
    assert_int_equal(ox__lines_add(&lines, &maker, &odd, &err), OX_EINVAL);
    const ox_new_event third = { .type = "a", .event = "{\"id\":\"\\u0022\\u00e4\"}" };
    const ox_new_event fourth = { .type = "a" };
    assert_int_equal(ox__lines_add(&lines, &maker, &third, &err), 0);
    assert_int_equal(ox__lines_add(&lines, &maker, &fourth, &err), 0);
    assert_int_equal(lines.count, 3);
    assert_int_equal(lines.rows[1].at, lines.rows[0].len + 1);
    g_autofree char *odd_sum =
        g_compute_checksum_for_data(G_CHECKSUM_SHA1, (const guchar *)"/x\0\"\xc3\xa4", 6);
    lines.rows[1].key[0] = '\0';
    assert_int_equal(ox__lines_key(&lines, 1, &err), 0);
    expect_key(&lines, 1, odd_sum);
    assert_false(lines.rows[2].known);
    ox__lines_done(&lines);
}

static void ids_are_uuids_that_sort_by_time(void **state)
{
    (void)state;
    struct ox__event_maker maker = { .source = "/x" };
    char one[37], two[37];
    ox__uuid7(&maker, one, 1700000000000);
    ox__uuid7(&maker, two, 1700000000001);
    assert_true(strcmp(one, two) < 0);
    assert_true(g_uuid_string_is_valid(one));
    assert_int_equal(one[14], '7');
    assert_memory_equal(one, "018bcfe5-6800", 13);
    /* No random bits come twice, also where these are fetched anew. */
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    for (int i = 0; i < 1000; i++) {
        ox__uuid7(&maker, one, 1700000000000);
        assert_true(g_uuid_string_is_valid(one));
        assert_true(g_hash_table_add(seen, g_strdup(one + 15)));
    }
}

static void bad_events_are_refused(void **state)
{
    static const struct {
        ox_new_event event;
        const char *why;
    } rows[] = {
        { { .type = NULL }, "event type is empty" },
        { { .type = "a b" }, "event type \"a b\" must be segments" },
        { { .type = "a.*" }, "event type \"a.*\" must be segments" },
        { { .type = "a", .json = "{" }, "the event data is not JSON: {" },
        { { .type = "a", .id = "" }, "event id must be a string that is not empty" },
        { { .type = "a", .id = "a\nb" }, "event id must not contain control characters" },
        { { .type = "a", .id = "\xff" }, "event id is not valid UTF-8" },
        { { .type = "a", .source = "" }, "event source must be" },
        { { .type = "a", .source = "a b" }, "event source \"a b\" is not a URI reference" },
        { { .type = "a", .source = "a%2" }, "is not a URI reference" },
        { { .type = "a", .subject = "" }, "event subject must be" },
        { { .type = "a", .time_ms = -1 }, "event time must be 0.." },
        { { .event = "[]" }, "event must be a JSON object" },
        { { .event = "{" }, "the event is not JSON: {" },
        { { .event = "{}" }, "event type is empty" },
        { { .event = "{\"type\":7}" }, "event type must be a string" },
        { { .event = "{\"type\":\"a\",\"specversion\":\"0.3\"}" },
            "event specversion must be \"1.0\"" },
        { { .event = "{\"type\":\"a\",\"time\":\"yesterday\"}" },
            "event time \"yesterday\" is not a time" },
        { { .event = "{\"type\":\"a\",\"time\":\"2026-02-30T00:00:00Z\"}" }, "is not a time" },
        { { .event = "{\"type\":\"a\",\"time\":\"2026-02-20T00:00:00\"}" }, "is not a time" },
        { { .event = "{\"type\":\"a\",\"user_id\":1}" },
            "event attribute \"user_id\": names have only a-z and 0-9" },
        { { .event = "{\"type\":\"a\",\"ext\":{}}" },
            "event attribute \"ext\" must be a string, a boolean" },
        { { .event = "{\"type\":\"a\",\"ext\":1.5}" }, "event attribute \"ext\" must be" },
        { { .event = "{\"type\":\"a\",\"data\":1,\"data_base64\":\"\"}" },
            "event has both data and data_base64" },
        { { .event = "{\"type\":\"a\",\"data_base64\":\"?\"}" },
            "event data_base64 is not base64" },
        { { .type = "a", .reserved = { 1 } }, "ox_new_event: reserved must be zero" },
    };
    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct ox__lines lines = { .count = 0 };
        struct ox__event_maker maker = { .source = "/x" };
        int rc = ox__lines_add(&lines, &maker, &rows[i].event, &err);
        assert_int_equal(lines.count, 0);
        assert_int_equal(lines.text.len, 0);
        ox__lines_done(&lines);
        if (rc != OX_EINVAL || !strstr(err.text, rows[i].why))
            test_fatal("row %zu: %d, %s", i, rc, err.text);
    }
}

/* ---- entries ----------------------------------------------------------------------------- */

static redisReply text_reply(const char *text, size_t len)
{
    return (redisReply){ .type = REDIS_REPLY_STRING, .str = (char *)text, .len = len };
}

/* Reads an entry with one or two fields; how many events it has, or the failure. */
static int read_entry(
    const char *id, const char *name, char *text, size_t len, const char *count)
{
    redisReply parts[] = { text_reply(name, strlen(name)), text_reply(text, len),
        text_reply("c", 1), text_reply(count ? count : "", count ? strlen(count) : 0) };
    redisReply *fields_of[] = { &parts[0], &parts[1], &parts[2], &parts[3] };
    redisReply fields = {
        .type = REDIS_REPLY_ARRAY, .elements = count ? 4 : 2, .element = fields_of
    };
    redisReply id_of = text_reply(id, strlen(id));
    redisReply *entry_of[] = { &id_of, &fields };
    redisReply entry = { .type = REDIS_REPLY_ARRAY, .elements = 2, .element = entry_of };
    struct ox__pack pack = { .ms = 0 };
    int64_t number, events = 0;
    char *json;
    int rc = ox__pack_read(&pack, &entry, &err);
    while (rc == 0 && ox__pack_next(&pack, &number, &json)) {
        events++;
        assert_string_equal(json, "{}");
    }
    if (rc == 0)
        assert_int_equal(number, pack.number);
    ox__pack_done(&pack);
    return rc < 0 ? rc : (int)events;
}

static void entries_are_read(void **state)
{
    (void)state;
    char one[] = "{}", three[] = "{}\n{}\n{}", again[] = "{}\n{}\n{}";
    Bytef z[256];
    uLongf len = sizeof(z);
    assert_int_equal(compress(z, &len, (const Bytef *)again, strlen(again)), Z_OK);
    assert_int_equal(read_entry("5-1", "e", one, 2, NULL), 1);
    assert_int_equal(read_entry("5-3", "e", three, 8, "3"), 3);
    assert_int_equal(read_entry("5-3", "z", (char *)z, len, "3"), 3);
    /* Cut at each byte, and with each byte another. */
    for (size_t i = 0; i < len; i++)
        assert_int_equal(read_entry("5-3", "z", (char *)z, i, "3"), OX_EDATA);
    for (size_t i = 0; i < len; i++) {
        z[i] ^= 0x55;
        assert_int_equal(read_entry("5-3", "z", (char *)z, len, "3"), OX_EDATA);
        z[i] ^= 0x55;
    }
}

static void what_is_deflated_is_read(void **state)
{
    (void)state;
    struct ox__deflater deflater = { .ready = false };
    g_autoptr(GString) text = g_string_new("{}");
    for (int i = 1; i < 1000; i++)
        g_string_append(text, "\n{}");
    for (int i = 0; i < 3; i++) {
        int64_t len = ox__deflate(&deflater, text->str, text->len, &err);
        assert_true(len > 0 && len < 100);
        assert_int_equal(
            read_entry("5-1000", "z", (char *)deflater.out, (size_t)len, "1000"), 1000);
        /* What does not become smaller stays as it is. */
        assert_int_equal(ox__deflate(&deflater, "{}", 2, &err), 0);
    }
    ox__deflater_done(&deflater);
}

/* 100 MB of zeros are 100 KB deflated. */
static void entry_that_inflates_without_end_is_refused(void **state)
{
    (void)state;
    gsize size = 100 << 20;
    g_autofree char *zeros = g_malloc0(size);
    uLongf len = compressBound(size);
    g_autofree char *z = g_malloc(len);
    assert_int_equal(compress((Bytef *)z, &len, (const Bytef *)zeros, size), Z_OK);
    assert_int_equal(read_entry("5-3", "z", z, len, "3"), OX_EDATA);
}

static void positions_are_read(void **state)
{
    int64_t ms, number;
    (void)state;
    assert_true(ox__position_read("5-7", &ms, &number) && ms == 5 && number == 7);
    assert_true(ox__position_read("5", &ms, &number) && ms == 5 && number == 0);
    assert_true(ox__position_read("9007199254740991-1", &ms, &number));
    static const char *const bad[] = { "", "-", "5-", "-7", "5-7-", "5 ", " 5", "+5", "5--7",
        "9007199254740992-1", "99999999999999999999-1" };
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
        assert_false(ox__position_read(bad[i], &ms, &number));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(patterns_match_by_segments),
        cmocka_unit_test(types_and_patterns_are_checked),
        cmocka_unit_test(members_and_json_make_one_event),
        cmocka_unit_test(key_is_made_of_source_and_id),
        cmocka_unit_test(ids_are_uuids_that_sort_by_time),
        cmocka_unit_test(bad_events_are_refused),
        cmocka_unit_test(entries_are_read),
        cmocka_unit_test(what_is_deflated_is_read),
        cmocka_unit_test(entry_that_inflates_without_end_is_refused),
        cmocka_unit_test(positions_are_read),
    };
    return cmocka_run_group_tests_name("events", tests, NULL, NULL);
}
