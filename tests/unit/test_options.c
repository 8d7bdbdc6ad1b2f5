/*
 * test_options.c - job options: from the caller, from BullMQ's JSON, to the stored form and
 * back.
 */
#include "../support/check.h"

#include <glib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/queue/job_id.h"
#include "lib/queue/options.h"

static char *written(const struct ox__options *options)
{
    struct ox__buf out = { 0 };
    ox__options_write(&out, options);
    char *text = ox__buf_steal(&out);
    assert_non_null(text);
    char *copy = g_strdup(text);
    ox_free(text);
    return copy;
}

static void expect_stored(const ox_job_options *given, const char *expected)
{
    struct ox__options options;
    ox_error err = { 0 };
    if (ox__options_merge(&options, given, &err) < 0)
        test_fatal("%s: %s", expected, err.text);
    g_autofree char *text = written(&options);
    assert_string_equal(text, expected);
    ox__options_done(&options);
}

static void expect_json(const char *json, const char *expected)
{
    const ox_job_options given = { .json = json };
    expect_stored(&given, expected);
}

static void expect_refused(const ox_job_options *given, const char *names)
{
    struct ox__options options;
    ox_error err = { 0 };
    if (ox__options_merge(&options, given, &err) != OX_EINVAL)
        test_fatal("%s: taken", given->json ? given->json : names);
    assert_int_equal(err.code, OX_EINVAL);
    if (!strstr(err.text, names))
        test_fatal("\"%s\" does not name %s", err.text, names);
}

/* BullMQ writes 0 attempts when none are given. */
static void defaults_store_nothing(void **state)
{
    (void)state;
    expect_stored(NULL, "{\"attempts\":0}");
    expect_json("{}", "{\"attempts\":0}");
    expect_json("{\"delay\":null,\"backoff\":null,\"x\":null}", "{\"attempts\":0}");
}

static void stores_struct_under_short_names(void **state)
{
    (void)state;
    const ox_job_options all = { .id = "own",
        .timestamp_ms = 1700000000000,
        .delay_ms = 5,
        .priority = 2097151,
        .attempts = 3,
        .backoff = { .type = "exponential", .delay_ms = 100, .jitter = 0.5 },
        .remove_on_complete = { .mode = OX_KEEP_NONE },
        .remove_on_fail = { .mode = OX_KEEP_SOME, .count = 7, .age_s = 60, .limit = 9 },
        .keep_logs = 4,
        .stack_trace_limit = -1,
        .size_limit = 1000,
        .dedup = { .id = "d", .ttl_ms = 50, .extend = true, .keep_last_if_active = true },
        .telemetry = "t",
        .omit_context = true };
    struct ox__options options;
    ox_error err = { 0 };
    assert_int_equal(ox__options_merge(&options, &all, &err), 0);
    g_autofree char *text = written(&options);
    json_t *json = json_loads(text, 0, NULL);
    json_t *expected = json_pack(
        "{s:s, s:I, s:i, s:i, s:i, s:{s:s, s:i, s:f}, s:b, s:{s:i, s:i, s:i}, s:i, s:i, "
        "s:i, s:{s:s, s:i, s:b, s:b}, s:s, s:b}",
        "jobId", "own", "timestamp", (json_int_t)1700000000000, "delay", 5, "priority", 2097151,
        "attempts", 3, "backoff", "type", "exponential", "delay", 100, "jitter", 0.5,
        "removeOnComplete", 1, "removeOnFail", "age", 60, "count", 7, "limit", 9, "kl", 4,
        "stackTraceLimit", 0, "sizeLimit", 1000, "de", "id", "d", "ttl", 50, "extend", 1,
        "keepLastIfActive", 1, "tm", "t", "omc", 1);
    assert_non_null(expected);
    if (!json_equal(json, expected))
        test_fatal("%s", text);
    json_decref(json);
    json_decref(expected);
    ox__options_done(&options);
}

static void converts_long_names(void **state)
{
    (void)state;
    expect_json("{\"deduplication\":{\"id\":\"a\"}}", "{\"attempts\":0,\"de\":{\"id\":\"a\"}}");
    expect_json("{\"keepLogs\":3}", "{\"attempts\":0,\"kl\":3}");
    expect_json("{\"failParentOnFailure\":true}", "{\"attempts\":0,\"fpof\":true}");
    expect_json("{\"continueParentOnFailure\":true}", "{\"attempts\":0,\"cpof\":true}");
    expect_json("{\"ignoreDependencyOnFailure\":true}", "{\"attempts\":0,\"idof\":true}");
    expect_json("{\"removeDependencyOnFailure\":true}", "{\"attempts\":0,\"rdof\":true}");
    expect_json("{\"telemetry\":{\"metadata\":\"m\",\"omitContext\":true}}",
        "{\"attempts\":0,\"tm\":\"m\",\"omc\":true}");
    expect_json("{\"fpof\":true}", "{\"attempts\":0,\"fpof\":true}");
    expect_json("{\"failParentOnFailure\":false}", "{\"attempts\":0}");
}

/* Options of Ox alone: BullMQ passes them on as it does with any name that it does not know. */
static void stores_limits_of_a_run(void **state)
{
    (void)state;
    const ox_job_options given = { .timeout_ms = 1500, .expire_ms = 60000 };
    expect_stored(&given, "{\"attempts\":0,\"timeout\":1500,\"expire\":60000}");
    expect_json("{\"timeout\":1500.9,\"expire\":9007199254740991}",
        "{\"attempts\":0,\"timeout\":1500,\"expire\":9007199254740991}");
    expect_json("{\"timeout\":0,\"expire\":null}", "{\"attempts\":0}");
    const ox_job_options both = { .timeout_ms = 7, .json = "{\"timeout\":9,\"expire\":8}" };
    expect_stored(&both, "{\"attempts\":0,\"timeout\":7,\"expire\":8}");
}

static void normalizes_values(void **state)
{
    (void)state;
    expect_json("{\"attempts\":2,\"backoff\":500}",
        "{\"attempts\":2,\"backoff\":{\"type\":\"fixed\",\"delay\":500}}");
    expect_json("{\"backoff\":{\"type\":\"own\",\"delay\":1.5}}",
        "{\"attempts\":0,\"backoff\":{\"type\":\"own\",\"delay\":1}}");
    expect_json("{\"removeOnComplete\":false}", "{\"attempts\":0,\"removeOnComplete\":false}");
    expect_json("{\"removeOnComplete\":3}", "{\"attempts\":0,\"removeOnComplete\":3}");
    expect_json("{\"removeOnFail\":{\"count\":5}}", "{\"attempts\":0,\"removeOnFail\":5}");
    expect_json(
        "{\"removeOnFail\":{\"age\":60}}", "{\"attempts\":0,\"removeOnFail\":{\"age\":60}}");
}

/* A name that nobody knows is a user's own: other readers of the job may know it. */
static void keeps_unknown_names(void **state)
{
    (void)state;
    expect_json("{\"repeat\":{\"every\":5,\"list\":[]},\"mine\":\"\\u00e9/\\\"\"}",
        "{\"attempts\":0,\"repeat\":{\"every\":5,\"list\":[]},\"mine\":\"\xc3\xa9/\\\"\"}");
}

static void struct_overrides_json(void **state)
{
    (void)state;
    const ox_job_options given = { .priority = 2,
        .on_failure = OX_CHILD_IGNORE,
        .json = "{\"priority\":9,\"delay\":7,\"failParentOnFailure\":true,"
                "\"parent\":{\"id\":\"1\",\"queue\":\"a:b\"}}" };
    expect_stored(&given,
        "{\"attempts\":0,\"delay\":7,\"parent\":{\"id\":\"1\",\"queue\":\"a:b\"},"
        "\"priority\":2,\"idof\":true}");
}

static void rejects_values_of_wrong_type(void **state)
{
    (void)state;
    static const struct {
        const char *json, *names;
    } rows[] = { { "[]", "JSON object" }, { "{", "JSON object" }, { "\"x\"", "JSON object" },
        { "{\"delay\":-1}", "delay" }, { "{\"delay\":\"5\"}", "delay" },
        { "{\"delay\":1e300}", "delay" }, { "{\"attempts\":\"many\"}", "attempts" },
        { "{\"attempts\":5000000000}", "attempts" }, { "{\"attempts\":-1}", "attempts" },
        { "{\"priority\":2097152}", "priority" }, { "{\"priority\":1.5}", "priority" },
        { "{\"lifo\":1}", "lifo" }, { "{\"jobId\":5}", "jobId" },
        { "{\"backoff\":{\"delay\":5}}", "backoff" }, { "{\"backoff\":\"fixed\"}", "backoff" },
        { "{\"backoff\":{\"type\":\"fixed\",\"jitter\":2}}", "backoff" },
        { "{\"removeOnComplete\":\"all\"}", "removeOnComplete" },
        { "{\"removeOnFail\":{\"age\":\"old\"}}", "removeOnFail" },
        { "{\"timeout\":-1}", "timeout" }, { "{\"timeout\":\"60s\"}", "timeout" },
        { "{\"timeout\":1e16}", "timeout" }, { "{\"expire\":-0.5}", "expire" },
        { "{\"expire\":true}", "expire" }, { "{\"keepLogs\":-1}", "keepLogs" },
        { "{\"deduplication\":\"d\"}", "deduplication" },
        { "{\"deduplication\":{\"id\":\"\"}}", "deduplication" },
        { "{\"deduplication\":{}}", "deduplication" },
        { "{\"note\":\"half \\ud83d\"}", "invalid Unicode" },
        { "{\"note\":\"a\\u0000b\"}", "\\u0000" }, { "{\"note\":1e400}", "overflow" },
        { "{\"failParentOnFailure\":true,\"removeDependencyOnFailure\":true}",
            "only one of failParentOnFailure, continueParentOnFailure, "
            "ignoreDependencyOnFailure and removeDependencyOnFailure may be true" },
        { "{\"parent\":{\"id\":\"1\"}}", "parent" },
        { "{\"parent\":{\"id\":\"1\",\"queue\":\"bare\"}}", "prefix:name" },
        { "{\"parent\":{\"id\":\"1\",\"queue\":\"a:b\"},\"deduplication\":{\"id\":\"d\"}}",
            "deduplicated" } };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        const ox_job_options given = { .json = rows[i].json };
        expect_refused(&given, rows[i].names);
    }
    const ox_job_options late = { .delay_ms = -1 }, low = { .priority = 2097152 },
                         vague = { .backoff = { .type = "" } },
                         shaky = { .backoff = { .type = "fixed", .jitter = 1.1 } };
    expect_refused(&late, "delay");
    expect_refused(&low, "priority");
    expect_refused(&vague, "backoff");
    expect_refused(&shaky, "jitter");
}

/* A struct can hold what JSON cannot say. */
static void rejects_struct_values_out_of_range(void **state)
{
    (void)state;
    const ox_job_options rows[] = { { .delay_ms = INT64_MAX }, { .timestamp_ms = INT64_MAX },
        { .timeout_ms = -1 }, { .timeout_ms = INT64_MAX }, { .expire_ms = INT64_MIN },
        { .expire_ms = OX__MAX_MS + 1 },
        { .backoff = { .type = "fixed", .delay_ms = INT64_MAX } },
        { .dedup = { .id = "d", .ttl_ms = INT64_MAX } },
        { .dedup = { .id = "d", .ttl_ms = -1 } }, { .dedup = { .id = "\xff" } },
        { .parent = { .id = "\xff", .queue = "a:b" } },
        { .parent = { .id = "1", .queue = "a:\xff" } },
        { .remove_on_complete = { .mode = OX_KEEP_SOME, .count = -1 } },
        { .remove_on_fail = { .mode = OX_KEEP_SOME, .count = INT64_MAX } },
        { .remove_on_fail = { .mode = OX_KEEP_SOME, .age_s = -1 } },
        { .remove_on_fail = { .mode = OX_KEEP_SOME, .age_s = 1, .limit = -1 } },
        { .remove_on_fail = { .mode = OX_KEEP_SOME + 1 } },
        { .parent = { .id = "1", .queue = "a:b" }, .on_failure = OX_CHILD_REMOVE + 1 },
        { .parent = { .id = "1", .queue = "a:b" }, .on_failure = -1 } };
    static const char *const names[] = { "delay", "timestamp", "timeout", "timeout", "expire",
        "expire", "backoff", "deduplication", "deduplication", "deduplication", "parent",
        "parent", "removeOnComplete", "removeOnFail", "removeOnFail", "removeOnFail",
        "removeOnFail", "on_failure", "on_failure" };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        expect_refused(&rows[i], names[i]);
    }
}

static void rejects_reserved_job_ids(void **state)
{
    (void)state;
    static const char *const bad[] = { "", "0", "7", "12", "99999999999999999999", "a:b",
        "a:b:c", "0:x", ":", "repeat:a:1", "meta", "wait", "id", "stalled-check",
        "waiting-children" };
    static const char *const fine[] = { "a", "12abc", "007", "-1", "1.5", " 1", "Meta", "metas",
        "\xc3\xa9", "x y" };
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
        if (ox__job_id_check(bad[i], NULL) != OX_EINVAL)
            test_fatal("id \"%s\" is taken", bad[i]);
    for (size_t i = 0; i < G_N_ELEMENTS(fine); i++)
        if (ox__job_id_check(fine[i], NULL) != 0)
            test_fatal("id \"%s\" is refused", fine[i]);
}

/* Jobs of other producers have ids that we would not give. */
static void recognizes_valid_job_ids(void **state)
{
    (void)state;
    static const char *const can[] = { "1", "abc", "a:b:c", "repeat:s:1700000000000",
        "repeat:s:with:colons:1700000000000" };
    static const char *const cannot[] = { "", "meta", "repeat", "1:lock", "1:logs", "de:x",
        "dn:x", "de:x:y", "metrics:completed:data", "0:1", "0:1:2", "a:b:c:logs", "repeat:s" };
    for (size_t i = 0; i < G_N_ELEMENTS(can); i++)
        if (!ox__job_id_possible(can[i]))
            test_fatal("no job %s?", can[i]);
    for (size_t i = 0; i < G_N_ELEMENTS(cannot); i++)
        if (ox__job_id_possible(cannot[i]))
            test_fatal("a job %s?", cannot[i]);
}

static void read_stored(struct ox__options *options, const char *text)
{
    ox_error err = { 0 };
    if (ox__options_stored(options, text, strlen(text), &err) < 0)
        test_fatal("%s: %s", text, err.text);
}

/* What Redis' own encoder made of it, and what other ports write. */
static void reads_options_stored_by_others(void **state)
{
    (void)state;
    struct ox__options options;
    read_stored(&options,
        "{\"attempts\":3,\"delay\":0,\"backoff\":{\"delay\":100,\"type\":\"exponential\"},"
        "\"removeOnComplete\":{},\"kl\":2,\"x\\/"
        "y\":[],\"priority\":1e1,\"stackTraceLimit\":0}");
    assert_int_equal(options.set.attempts, 3);
    assert_string_equal(options.set.backoff.type, "exponential");
    assert_int_equal(options.set.backoff.delay_ms, 100);
    assert_int_equal(options.set.keep_logs, 2);
    assert_int_equal(options.set.priority, 10);
    assert_int_equal(options.set.stack_trace_limit, -1);
    assert_int_equal(options.set.remove_on_complete.mode, OX_KEEP_ALL);
    ox__options_done(&options);
}

/* As BullMQ's own code finds them where it uses them; the interop tests hold it against that.
 */
static void reads_stored_values_as_javascript_does(void **state)
{
    (void)state;
    struct ox__options options;
    read_stored(&options, "{\"attempts\":\"3\",\"delay\":-5,\"backoff\":[],\"kl\":{},"
                          "\"removeOnFail\":\"x\",\"removeOnComplete\":[],\"de\":7,"
                          "\"lifo\":\"yes\",\"fpof\":1,"
                          "\"priority\":123456789012345678901234567890}");
    assert_int_equal(options.set.attempts, 3);
    assert_int_equal(options.set.delay_ms, 0);
    assert_null(options.set.backoff.type);
    assert_int_equal(options.set.keep_logs, 0);
    assert_null(options.set.dedup.id);
    assert_true(options.set.lifo);
    assert_int_equal(options.set.on_failure, OX_CHILD_WAIT);
    assert_int_equal(options.set.remove_on_fail.mode, OX_KEEP_NONE);
    assert_int_equal(options.set.remove_on_complete.mode, OX_KEEP_ALL);
    assert_int_equal(options.set.priority, 0);
    ox__options_done(&options);
    read_stored(&options,
        "{\"attempts\":1e400,\"backoff\":{\"type\":\"fixed\",\"delay\":\"20\","
        "\"jitter\":7},\"kl\":true,\"lifo\":0,\"removeOnFail\":-0}");
    assert_int_equal(options.set.attempts, UINT32_MAX);
    assert_int_equal(options.set.backoff.delay_ms, 20);
    assert_true(options.set.backoff.jitter == 1);
    assert_int_equal(options.set.keep_logs, 1);
    assert_false(options.set.lifo);
    assert_int_equal(options.set.remove_on_fail.mode, OX_KEEP_NONE);
    ox__options_done(&options);
    read_stored(&options, "{\"attempts\":2.5}");
    assert_int_equal(options.set.attempts, 3);
    ox__options_done(&options);
}

/* Who cannot be understood has no limit of its own. */
static void reads_stored_limits_of_a_run(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t timeout_ms, expire_ms;
    } rows[] = {
        { "{\"timeout\":1500,\"expire\":60000}", 1500, 60000 },
        { "{\"timeout\":\"250\",\"expire\":2.5e3}", 250, 2500 },
        { "{\"timeout\":-5,\"expire\":null}", 0, 0 },
        { "{\"timeout\":{},\"expire\":\"soon\"}", 0, 0 },
        { "{\"timeout\":5,\"timeout\":6}", 6, 0 },
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct ox__options options;
        read_stored(&options, rows[i].text);
        if (options.set.timeout_ms != rows[i].timeout_ms ||
            options.set.expire_ms != rows[i].expire_ms)
            test_fatal("%s: timeout %lld, expire %lld", rows[i].text,
                (long long)options.set.timeout_ms, (long long)options.set.expire_ms);
        ox__options_done(&options);
    }
}

static void reads_stored_text_that_jansson_refuses(void **state)
{
    (void)state;
    struct ox__options options;
    g_autoptr(GString) deep = g_string_new("{\"x\":");
    for (int i = 0; i < 5000; i++)
        g_string_append(deep, "[{\"y\":");
    g_string_append(deep, "1e999");
    for (int i = 0; i < 5000; i++)
        g_string_append(deep, "}]");
    g_string_append(deep, ",\"attempts\":4}");
    const char *const texts[] = { deep->str, "{\"note\":\"half \\ud83d\",\"attempts\":4}",
        "{\"a\\u0000b\":\"\\u0000\",\"attempts\":4}", "{\"attempts\":9,\"attempts\":4}",
        "{\"\\u0061ttempts\":4,\"x\":\"\xff\xc3\"}",
        " {\"x\" : -1e-999 , \"attempts\" : 4.0 } " };
    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
        read_stored(&options, texts[i]);
        assert_int_equal(options.set.attempts, 4);
        ox__options_done(&options);
    }
    read_stored(&options, "{\"de\":{\"id\":\"\\ud83d\\u0000\\ud83c\\udf82\\/\"}}");
    assert_string_equal(options.set.dedup.id, "\xef\xbf\xbd\xef\xbf\xbd\xf0\x9f\x8e\x82/");
    ox__options_done(&options);
}

/* BullMQ runs a job whose options are another value with the defaults, but for null. */
static void treats_non_object_as_no_options(void **state)
{
    (void)state;
    struct ox__options options;
    static const char *const defaults[] = { "", "[]", "[{\"attempts\":3}]", "5", "\"abc\"",
        "true" };
    static const char *const bad[] = { "null", " null ", "{", "{\"a\":1}x", "\xef\xbb\xbf{}",
        "{'a':1}", "undefined" };
    for (size_t i = 0; i < G_N_ELEMENTS(defaults); i++) {
        read_stored(&options, defaults[i]);
        assert_int_equal(options.set.attempts, 0);
        ox__options_done(&options);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
        assert_int_equal(ox__options_stored(&options, bad[i], strlen(bad[i]), NULL), OX_EDATA);
}

static void stored_options_round_trip(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "{\"attempts\":0}",
        "{\"attempts\":5,\"backoff\":{\"type\":\"fixed\",\"delay\":200,\"jitter\":0.25},"
        "\"delay\":10,\"priority\":4,\"removeOnComplete\":true,\"removeOnFail\":{\"age\":5,"
        "\"count\":6},\"kl\":7,\"de\":{\"id\":\"x\",\"ttl\":8,\"replace\":true},\"tm\":\"t\"}"
    };
    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
        struct ox__options options;
        read_stored(&options, texts[i]);
        g_autofree char *text = written(&options);
        json_t *before = json_loads(texts[i], 0, NULL), *after = json_loads(text, 0, NULL);
        if (!json_equal(before, after))
            test_fatal("%s became %s", texts[i], text);
        json_decref(before);
        json_decref(after);
        ox__options_done(&options);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_store_nothing),
        cmocka_unit_test(stores_struct_under_short_names),
        cmocka_unit_test(converts_long_names),
        cmocka_unit_test(stores_limits_of_a_run),
        cmocka_unit_test(normalizes_values),
        cmocka_unit_test(keeps_unknown_names),
        cmocka_unit_test(struct_overrides_json),
        cmocka_unit_test(rejects_values_of_wrong_type),
        cmocka_unit_test(rejects_struct_values_out_of_range),
        cmocka_unit_test(rejects_reserved_job_ids),
        cmocka_unit_test(recognizes_valid_job_ids),
        cmocka_unit_test(reads_options_stored_by_others),
        cmocka_unit_test(reads_stored_values_as_javascript_does),
        cmocka_unit_test(reads_stored_limits_of_a_run),
        cmocka_unit_test(reads_stored_text_that_jansson_refuses),
        cmocka_unit_test(treats_non_object_as_no_options),
        cmocka_unit_test(stored_options_round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
