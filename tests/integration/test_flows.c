/*
 * test_flows.c - flows: what a tree of jobs looks like in Redis, how it runs, and that a bad
 * one leaves nothing behind.
 */
#include "../support/check.h"

#include <glib.h>
#include <string.h>

#include "../support/jobs.h"

/* ---- helpers ----------------------------------------------------------------------------- */

/* Adds a flow; the root's id (g_free). */
static char *add(struct test_queue *q, const char *json)
{
    ox_error err = { 0 };
    char *id = NULL;
    test_ok(ox_flow_add(q->client, NULL, NULL, json, &id, &err), &err);
    char *copy = g_strdup(id);
    ox_free(id);
    return copy;
}

static void expect_dependencies(const char *parent, int count)
{
    assert_int_equal(test_redis_int(redis, "SCARD %s:dependencies", parent), count);
}

static bool depends(const char *parent, const char *child)
{
    return test_redis_int(redis, "SISMEMBER %s:dependencies %s", parent, child) == 1;
}

static ox_queue *queue_named(struct test_queue *q, const char *name)
{
    ox_queue *queue = NULL;
    ox_error err = { 0 };
    test_ok(ox_queue_new(&queue, q->client, name, NULL, &err), &err);
    return queue;
}

/* Runs the next job of a queue; its id must be this one, unless NULL. */
static void run_next(
    struct test_queue *q, const char *queue_name, const char *id, const char *json)
{
    ox_queue *queue = queue_named(q, queue_name);
    g_autofree char *taken = test_take(queue);
    if (!taken || (id && strcmp(taken, id) != 0))
        test_fatal("%s starts, not %s", taken ? taken : "nothing", id ? id : "a job");
    test_complete(queue, taken, json);
    ox_queue_free(queue);
}

/* ---- what is added ----------------------------------------------------------------------- */

static void adds_tree_with_dependencies(void **state)
{
    struct test_queue *q = *state;
    g_autofree char *id = add(q,
        "{\"name\":\"root\",\"queueName\":\"p\",\"opts\":{\"jobId\":\"r\",\"attempts\":2},"
        "\"children\":["
        "{\"name\":\"a\",\"queueName\":\"c\",\"data\":{\"n\":1},\"opts\":{\"jobId\":\"a\"}},"
        "{\"name\":\"b\",\"queueName\":\"c\",\"opts\":{\"jobId\":\"b\",\"priority\":3},"
        "\"children\":[{\"name\":\"x\",\"queueName\":\"p\",\"opts\":{\"jobId\":\"x\"}}]}]}");
    assert_string_equal(id, "r");
    expect_members("bull:p:waiting-children", "r");
    expect_members("bull:p:wait", "x");
    expect_members("bull:c:waiting-children", "b");
    expect_members("bull:c:wait", "a");
    expect_dependencies("bull:p:r", 2);
    assert_true(depends("bull:p:r", "bull:c:a"));
    assert_true(depends("bull:p:r", "bull:c:b"));
    expect_dependencies("bull:c:b", 1);
    assert_true(depends("bull:c:b", "bull:p:x"));

    expect_field("bull:p:r", "parentKey", NULL);
    expect_field("bull:p:r", "data", "{}");
    expect_field("bull:c:a", "data", "{\"n\":1}");
    expect_field("bull:c:a", "parentKey", "bull:p:r");
    expect_field("bull:c:a", "parent", "{\"id\":\"r\",\"queueKey\":\"bull:p\"}");
    expect_field("bull:c:a", "opts",
        "{\"attempts\":0,\"jobId\":\"a\",\"parent\":{\"id\":\"r\",\"queue\":\"bull:p\"}}");
    expect_field("bull:p:x", "parentKey", "bull:c:b");
    long long entered = test_redis_int(redis, "ZSCORE bull:p:waiting-children r");
    assert_int_equal(entered, test_redis_int(redis, "HGET bull:p:r timestamp"));

    g_autofree char *parents = test_events(redis, "bull:p:");
    assert_string_equal(parents, "added r,waiting-children r,added x,waiting x");
    g_autofree char *children = test_events(redis, "bull:c:");
    assert_string_equal(children, "added a,waiting a,added b,waiting-children b");
    expect_members("bull:c:marker", "0");
}

static void ids_are_uuids_unless_given(void **state)
{
    struct test_queue *q = *state;
    g_autofree char *id = add(q, "{\"name\":\"root\",\"queueName\":\"p\",\"children\":["
                                 "{\"name\":\"a\",\"queueName\":\"c\"}]}");
    assert_true(g_uuid_string_is_valid(id));
    assert_int_equal(id[14], '4');
    g_autofree char *child = test_redis_text(redis, "LINDEX bull:c:wait 0");
    assert_true(g_uuid_string_is_valid(child));
    g_autofree char *key = g_strconcat("bull:c:", child, NULL);
    g_autofree char *parent = g_strconcat("bull:p:", id, NULL);
    expect_field(key, "parentKey", parent);
    expect_field(parent, "opts", "{\"attempts\":0}");
    assert_true(depends(parent, key));
}

static void data_arrives_as_it_was_given(void **state)
{
    struct test_queue *q = *state;
    static const char *const data[] = { "{ \"big\" : 123456789012345678901234567890 }",
        "[0.1,1e3,-0,\"\\u0000 \\/ \\ud83d\\ude00 \xc3\xa9\",{}]", "null", "\"}\\\"]\\\\\"",
        "7", "false" };
    for (size_t i = 0; i < G_N_ELEMENTS(data); i++) {
        g_autofree char *json = g_strdup_printf(" { \"data\" : %s ,\n \"queueName\":\"c\", "
                                                "\"n\\u0061me\":\"a \\\"b\\\"\"} ",
            data[i]);
        g_autofree char *id = add(q, json);
        g_autofree char *key = g_strconcat("bull:c:", id, NULL);
        expect_field(key, "data", data[i]);
        expect_field(key, "name", "a \"b\"");
    }
}

static void nil_means_missing(void **state)
{
    struct test_queue *q = *state;
    g_autofree char *id = add(q, "{\"name\":\"a\",\"queueName\":\"c\",\"prefix\":null,"
                                 "\"opts\":null,\"children\":null}");
    expect_members("bull:c:wait", id);
    g_autofree char *other = add(q, "{\"name\":\"a\",\"queueName\":\"d\",\"children\":[]}");
    expect_members("bull:d:wait", other);
}

static void the_flags_of_a_child_reach_its_parent(void **state)
{
    struct test_queue *q = *state;
    static const char *const flags[][2] = { { "failParentOnFailure", "fpof" },
        { "continueParentOnFailure", "cpof" }, { "ignoreDependencyOnFailure", "idof" },
        { "removeDependencyOnFailure", "rdof" } };
    for (size_t i = 0; i < G_N_ELEMENTS(flags); i++) {
        g_autofree char *json = g_strdup_printf(
            "{\"name\":\"p\",\"queueName\":\"p\",\"opts\":{\"jobId\":\"p%zu\"},\"children\":["
            "{\"name\":\"c\",\"queueName\":\"c\",\"opts\":{\"jobId\":\"c%zu\",\"%s\":true}}]}",
            i, i, flags[i][0]);
        g_free(add(q, json));
        g_autofree char *key = g_strdup_printf("bull:c:c%zu", i);
        g_autofree char *parent = g_strdup_printf(
            "{\"id\":\"p%zu\",\"queueKey\":\"bull:p\",\"%s\":true}", i, flags[i][1]);
        expect_field(key, "parent", parent);
    }
}

static void flow_jobs_have_own_prefixes(void **state)
{
    struct test_queue *q = *state;
    ox_error err = { 0 };
    test_ok(ox_flow_add(q->client, "mine", NULL,
                "{\"name\":\"p\",\"queueName\":\"p\",\"opts\":{\"jobId\":\"p\"},\"children\":["
                "{\"name\":\"c\",\"queueName\":\"c\",\"prefix\":\"a:b\","
                "\"opts\":{\"jobId\":\"c\"}}]}",
                NULL, &err),
        &err);
    expect_members("mine:p:waiting-children", "p");
    expect_members("a:b:c:wait", "c");
    assert_true(depends("mine:p:p", "a:b:c:c"));
    expect_field("a:b:c:c", "parent", "{\"id\":\"p\",\"queueKey\":\"mine:p\"}");
}

/* The options are those of every queue of the flow. BullMQ 5.x looks for the jobs of a paused
 * queue in its list `paused`, also for a parent that is released there and then. */
static void queues_have_the_options_of_the_flow(void **state)
{
    struct test_queue *q = *state;
    const ox_queue_options options = {
        .prefix = "mine", .no_events = true, .legacy_pause = true
    };
    ox_error err = { 0 };
    static const char json[] =
        "{\"name\":\"p\",\"opts\":{\"jobId\":\"p\"},\"children\":["
        "{\"name\":\"c\",\"queueName\":\"c\",\"opts\":{\"jobId\":\"c\"}}]}";
    run("HSET mine:p:meta paused 1");
    run("HSET mine:c:meta paused 1");
    test_ok(ox_flow_add_with(q->client, &options, "p", json, NULL, &err), &err);
    expect_members("mine:p:waiting-children", "p");
    expect_members("mine:c:paused", "c");
    assert_int_equal(test_redis_int(redis, "EXISTS mine:c:wait mine:c:events"), 0);

    /* The child is there and has ended, so the parent of the next flow waits for nothing. */
    run("DEL mine:p:waiting-children mine:p:p mine:p:p:dependencies mine:c:paused mine:c:c");
    run("HSET mine:c:c name c data {} opts {} timestamp 1 returnvalue 7 finishedOn 1");
    run("ZADD mine:c:completed 1 c");
    test_ok(ox_flow_add_with(q->client, &options, "p", json, NULL, &err), &err);
    expect_members("mine:p:paused", "p");
    assert_int_equal(test_redis_int(redis, "EXISTS mine:p:wait mine:p:events"), 0);
    assert_int_equal(
        ox_flow_add_with(q->client, NULL, NULL, "{\"name\":\"p\"}", NULL, &err), OX_EINVAL);
}

/* Jobs that name no queue go to the one that the caller gave; null names none. */
static void flow_uses_default_queue(void **state)
{
    struct test_queue *q = *state;
    ox_error err = { 0 };
    static const char json[] =
        "[{\"name\":\"r\",\"opts\":{\"jobId\":\"r\"},\"children\":["
        "{\"name\":\"a\",\"queue\\u004eame\":\"p\",\"opts\":{\"jobId\":\"a\"}},"
        "{\"name\":\"b\",\"queueName\":null,\"opts\":{\"jobId\":\"b\"}}]}]";
    test_ok(ox_flow_add(q->client, NULL, "d", json, NULL, &err), &err);
    expect_members("bull:d:waiting-children", "r");
    expect_members("bull:p:wait", "a");
    expect_members("bull:d:wait", "b");
    expect_field("bull:d:b", "parentKey", "bull:d:r");

    assert_int_equal(ox_flow_add(q->client, NULL, "d:e", json, NULL, &err), OX_EINVAL);
    assert_string_equal(err.text, "flow: [0]: queue name d:e must not contain ':'");
    assert_int_equal(ox_flow_add(q->client, NULL, "", json, NULL, &err), OX_EINVAL);
}

static void adds_many_trees_in_one_transaction(void **state)
{
    struct test_queue *q = *state;
    g_autofree char *id = add(q,
        "[{\"name\":\"1\",\"queueName\":\"p\",\"opts\":{\"jobId\":\"r1\"}},"
        "{\"name\":\"2\",\"queueName\":\"p\",\"opts\":{\"jobId\":\"r2\"},"
        "\"children\":[{\"name\":\"c\",\"queueName\":\"p\",\"opts\":{\"jobId\":\"c\"}}]}]");
    assert_string_equal(id, "r1");
    expect_members("bull:p:wait", "c,r1");
    expect_members("bull:p:waiting-children", "r2");
}

static void a_big_flow_is_one_flow(void **state)
{
    struct test_queue *q = *state;
    g_autoptr(GString) json = g_string_new("{\"name\":\"p\",\"queueName\":\"p\",\"opts\":"
                                           "{\"jobId\":\"p\"},\"children\":[");
    for (int i = 0; i < 9999; i++)
        g_string_append_printf(
            json, "%s{\"name\":\"c\",\"queueName\":\"c%d\"}", i ? "," : "", i / 3 % 2);
    g_string_append(json, "]}");
    g_free(add(q, json->str));
    expect_dependencies("bull:p:p", 9999);
    assert_int_equal(test_redis_int(redis, "LLEN bull:c0:wait"), 5001);
    assert_int_equal(test_redis_int(redis, "LLEN bull:c1:wait"), 4998);
}

/* As many levels as are allowed; each holds the next. */
static char *nested(int levels)
{
    GString *json = g_string_new(NULL);
    for (int i = 0; i < levels; i++)
        g_string_append(json, "{\"name\":\"n\",\"queueName\":\"p\",\"children\":[");
    for (int i = 0; i < levels; i++)
        g_string_append(json, "]}");
    return g_string_free(json, FALSE);
}

static void a_deep_flow_is_one_flow(void **state)
{
    struct test_queue *q = *state;
    g_autofree char *json = nested(200);
    g_free(add(q, json));
    assert_int_equal(test_redis_int(redis, "ZCARD bull:p:waiting-children"), 199);
    assert_int_equal(test_redis_int(redis, "LLEN bull:p:wait"), 1);
}

/* ---- how it runs ------------------------------------------------------------------------- */

static void a_parent_runs_when_its_children_are_done(void **state)
{
    struct test_queue *q = *state;
    g_free(add(q,
        "{\"name\":\"root\",\"queueName\":\"p\",\"opts\":{\"jobId\":\"r\",\"priority\":2},"
        "\"children\":[{\"name\":\"a\",\"queueName\":\"c\",\"opts\":{\"jobId\":\"a\"}},"
        "{\"name\":\"b\",\"queueName\":\"c\",\"opts\":{\"jobId\":\"b\"},\"children\":["
        "{\"name\":\"x\",\"queueName\":\"c\",\"opts\":{\"jobId\":\"x\"}}]}]}"));
    run_next(q, "c", "a", "{\"v\":1}");
    expect_members("bull:p:waiting-children", "r");
    run_next(q, "c", "x", "2");
    expect_members("bull:c:waiting-children", "");
    run_next(q, "c", "b", "[3]");
    expect_members("bull:p:waiting-children", "");
    expect_members("bull:p:prioritized", "r");
    expect_members("bull:p:marker", "0");

    assert_int_equal(test_redis_int(redis, "HLEN bull:p:r:processed"), 2);
    expect_field("bull:p:r:processed", "bull:c:a", "{\"v\":1}");
    expect_field("bull:p:r:processed", "bull:c:b", "[3]");
    run_next(q, "p", "r", "null");
}

static void parent_delay_starts_on_release(void **state)
{
    struct test_queue *q = *state;
    g_free(add(q,
        "{\"name\":\"root\",\"queueName\":\"p\",\"opts\":{\"jobId\":\"r\",\"delay\":50000},"
        "\"children\":[{\"name\":\"a\",\"queueName\":\"p\"}]}"));
    expect_members("bull:p:delayed", "");
    int64_t before = test_unix_ms();
    run_next(q, "p", NULL, "1");
    expect_members("bull:p:delayed", "r");
    double due = (double)test_redis_int(redis, "ZSCORE bull:p:delayed r") / 4096;
    assert_in_range((int64_t)due, before + 50000, test_unix_ms() + 50000);
}

/* ---- jobs that were there before --------------------------------------------------------- */

#define CHILD(id) "{\"name\":\"c\",\"queueName\":\"q\",\"opts\":{\"jobId\":\"" id "\"}}"
#define PARENT(children)                                                                       \
    "{\"name\":\"p\",\"queueName\":\"p\",\"opts\":{\"jobId\":\"p\"},\"children\":[" children   \
    "]}"

static void completed(struct test_queue *q, const char *id)
{
    const ox_job_options options = { .id = id };
    g_autofree char *added = test_add(q->queue, "c", &options);
    run_next(q, "q", added, "\"old\"");
}

static void a_parent_of_completed_children_runs_at_once(void **state)
{
    struct test_queue *q = *state;
    completed(q, "a");
    completed(q, "b");
    g_free(add(q, PARENT(CHILD("a") "," CHILD("b"))));
    expect_members("bull:p:waiting-children", "");
    expect_members("bull:p:wait", "p");
    expect_dependencies("bull:p:p", 0);
    expect_field("bull:p:p:processed", "bull:q:a", "\"old\"");
    expect_field("bull:p:p:processed", "bull:q:b", "\"old\"");
    expect_field("bull:q:a", "parentKey", "bull:p:p");
}

/* The completed one comes first: the parent must not run before the others are in. */
static void a_completed_child_does_not_release_its_parent_early(void **state)
{
    struct test_queue *q = *state;
    completed(q, "a");
    g_free(add(q, PARENT(CHILD("a") "," CHILD("b"))));
    expect_members("bull:p:waiting-children", "p");
    run_next(q, "q", "b", "\"new\"");
    expect_members("bull:p:wait", "p");
    g_autofree char *events = test_events(redis, "bull:p:");
    assert_string_equal(events, "added p,waiting-children p,waiting p prev=waiting-children");
}

static void a_waiting_job_becomes_a_child(void **state)
{
    struct test_queue *q = *state;
    const ox_job_options options = { .id = "a" };
    g_free(test_add(q->queue, "c", &options));
    g_free(add(q, PARENT(CHILD("a"))));
    assert_true(depends("bull:p:p", "bull:q:a"));
    expect_members("bull:q:wait", "a");
    run_next(q, "q", "a", "1");
    expect_members("bull:p:wait", "p");
}

static void a_child_of_another_parent_is_reported(void **state)
{
    struct test_queue *q = *state;
    ox_error err = { 0 };
    char *id = NULL;
    g_free(add(q, PARENT(CHILD("a"))));
    int rc = ox_flow_add(q->client, NULL, NULL,
        "{\"name\":\"p\",\"queueName\":\"p\",\"opts\":{\"jobId\":\"p2\"},\"children\":["
        "{\"name\":\"n\",\"queueName\":\"q\",\"opts\":{\"jobId\":\"n\"},\"children\":["
        "{\"name\":\"x\",\"queueName\":\"q\"}," CHILD("a") "]}]}",
        &id, &err);
    assert_int_equal(rc, OX_EPARENTTAKEN);
    assert_null(id);
    assert_string_equal(err.text, "flow: children[0].children[1]: queue q, job a: the job "
                                  "belongs to another parent; the rest of the flow was added");
    expect_field("bull:q:a", "parentKey", "bull:p:p");
    expect_field("bull:q:n", "flowAttachmentFailed", NULL);
    expect_members("bull:q:waiting-children", "n");
}

/* Alone with such a child, a parent waits for ever rather than run without it. */
static void parent_keeps_waiting_for_missing_child(void **state)
{
    struct test_queue *q = *state;
    g_free(add(q, PARENT(CHILD("a"))));
    int rc = ox_flow_add(q->client, NULL, NULL,
        "{\"name\":\"p\",\"queueName\":\"p\",\"opts\":{\"jobId\":\"p2\"},"
        "\"children\":[" CHILD("a") "]}",
        NULL, NULL);
    assert_int_equal(rc, OX_EPARENTTAKEN);
    expect_members("bull:p:waiting-children", "p,p2");
    expect_field("bull:p:p2", "flowAttachmentFailed", NULL);
}

/* A job that runs adds a flow below itself. */
static void adds_flow_below_existing_parent(void **state)
{
    struct test_queue *q = *state;
    const ox_job_options options = { .id = "top" };
    g_free(test_add(q->queue, "top", &options));
    g_autofree char *taken = test_take(q->queue);
    g_free(add(q, "{\"name\":\"r\",\"queueName\":\"c\",\"opts\":{\"jobId\":\"r\","
                  "\"parent\":{\"id\":\"top\",\"queue\":\"bull:q\"}},"
                  "\"children\":[{\"name\":\"x\",\"queueName\":\"c\"}]}"));
    assert_true(depends("bull:q:top", "bull:c:r"));
    expect_field("bull:c:r", "parentKey", "bull:q:top");
    expect_members("bull:c:waiting-children", "r");
    expect_members("bull:q:active", taken);
}

static void a_missing_parent_adds_nothing(void **state)
{
    struct test_queue *q = *state;
    ox_error err = { 0 };
    int rc = ox_flow_add(q->client, NULL, NULL,
        "{\"name\":\"r\",\"queueName\":\"c\",\"opts\":{\"jobId\":\"r\","
        "\"parent\":{\"id\":\"none\",\"queue\":\"bull:q\"}},"
        "\"children\":[{\"name\":\"x\",\"queueName\":\"d\"}]}",
        NULL, &err);
    assert_int_equal(rc, OX_EPARENT);
    assert_string_equal(
        err.text, "flow: queue c, job r: the parent job is missing; nothing was added");
    assert_int_equal(test_redis_int(redis, "EXISTS bull:c:r bull:c:wait bull:d:wait bull:c:id "
                                           "bull:d:id bull:c:waiting-children"),
        0);
}

/* ---- refusals ---------------------------------------------------------------------------- */

#define JOB "\"name\":\"n\",\"queueName\":\"p\""

static const struct {
    const char *json, *text;
} bad[] = {
    { "", "the flow is not JSON" },
    { "{", "the flow is not JSON" },
    { "[]", "the flow has no jobs" },
    { "7", "flow: a job of a flow must be an object" },
    { "[[]]", "flow: [0]: a job of a flow must be an object" },
    { "{}", "flow: queueName is missing" },
    { "{\"queueName\":\"p\"}", "flow: job name is missing" },
    { "{\"name\":\"n\",\"queueName\":7}", "flow: queueName is not a string" },
    { "{\"name\":\"n\",\"queueName\":\"a:b\"}", "flow: queue name a:b" },
    { "{\"name\":\"a\\u0000b\",\"queueName\":\"p\"}", "flow: name is not a string" },
    { "{" JOB ",\"child\":[]}",
        "flow: unknown member \"child\"; a job of a flow has name, queueName, prefix, data, "
        "opts, children" },
    { "{" JOB ",\"children\":[],\"children\":[]}", "flow: duplicate member children" },
    { "{" JOB ",\"opts\":[]}", "flow: opts is not an object" },
    { "{" JOB ",\"children\":{}}", "flow: children is not an array" },
    { "{" JOB ",\"prefix\":\"\"}", "flow: the prefix is empty" },
    { "{" JOB ",\"opts\":{\"jobId\":\"12\"}}", "flow: job id 12" },
    { "{" JOB ",\"opts\":{\"priority\":-1}}", "flow: job option priority" },
    { "{" JOB ",\"opts\":{\"sizeLimit\":1},\"data\":[1,2]}", "flow: the job data has 5 bytes" },
    { "{" JOB ",\"opts\":{\"failParentOnFailure\":true,\"removeDependencyOnFailure\":true}}",
        "flow: job option removeDependencyOnFailure" },
    { "{" JOB ",\"children\":[{" JOB "},{" JOB ",\"children\":[{" JOB "},{}]}]}",
        "flow: children[1].children[1]: queueName is missing" },
    { "[{" JOB "},{" JOB ",\"children\":[{\"queueName\":\"p\"}]}]",
        "flow: [1].children[0]: job name is missing" },
    { "{" JOB ",\"children\":[{" JOB
      ",\"opts\":{\"parent\":{\"id\":\"1\",\"queue\":\"a:b\"}}}]}",
        "flow: children[0]: a child in a flow must not name a parent" },
    { "{" JOB ",\"opts\":{\"deduplication\":{\"id\":\"x\"}},\"children\":[{" JOB "}]}",
        "flow: a job with children cannot be deduplicated" },
    { "{" JOB ",\"children\":[{" JOB ",\"opts\":{\"deduplication\":{\"id\":\"x\"}}}]}",
        "flow: children[0]: a job with a parent cannot be deduplicated" },
    { "{" JOB ",\"opts\":{\"jobId\":\"a\"},\"children\":[{" JOB
      ",\"opts\":{\"jobId\":\"a\"}}]}",
        "flow: children[0]: the flow has another job with this id" },
};

static void bad_flows_are_refused_with_their_place(void **state)
{
    struct test_queue *q = *state;
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        ox_error err = { 0 };
        char *id = NULL;
        int rc = ox_flow_add(q->client, NULL, NULL, bad[i].json, &id, &err);
        if (rc != OX_EINVAL || !strstr(err.text, bad[i].text))
            test_fatal("%s: %d \"%s\"", bad[i].json, rc, err.text);
        assert_null(id);
    }
    assert_int_equal(ox_flow_add(q->client, "", NULL, "{" JOB "}", NULL, NULL), OX_EINVAL);
    assert_int_equal(test_redis_int(redis, "DBSIZE"), 0);
}

static void limits_flow_size(void **state)
{
    struct test_queue *q = *state;
    ox_error err = { 0 };
    g_autoptr(GString) wide = g_string_new("[{" JOB "}");
    for (int i = 0; i < 10000; i++)
        g_string_append(wide, ",{" JOB "}");
    g_string_append_c(wide, ']');
    assert_int_equal(ox_flow_add(q->client, NULL, NULL, wide->str, NULL, &err), OX_EINVAL);
    assert_string_equal(err.text, "flow: more than 10000 jobs");

    /* The way to a place may be too long to tell: then its end is told. */
    g_autofree char *deep = nested(201);
    assert_int_equal(ox_flow_add(q->client, NULL, NULL, deep, NULL, &err), OX_EINVAL);
    assert_true(g_str_has_prefix(err.text, "flow: ...children[0]."));
    assert_true(g_str_has_suffix(err.text, "children[0]: the flow is nested too deeply"));
    g_autofree char *deeper = nested(5000);
    assert_int_equal(ox_flow_add(q->client, NULL, NULL, deeper, NULL, &err), OX_EINVAL);
    assert_int_equal(test_redis_int(redis, "DBSIZE"), 0);
}

/* ---- the server ------------------------------------------------------------------------- */

/* Each script is needed at once, and again behind it in the same transaction. */
static void survives_script_flush(void **state)
{
    struct test_queue *q = *state;
    completed(q, "a");
    run("SCRIPT FLUSH");
    g_free(add(q, PARENT("{" JOB "},{\"name\":\"n\",\"queueName\":\"o\",\"children\":[" CHILD(
                      "a") "]},{" JOB ",\"opts\":{\"jobId\":\"n\"}}")));
    expect_members("bull:p:waiting-children", "p");
    assert_int_equal(test_redis_int(redis, "LLEN bull:o:wait"), 1);
    assert_int_equal(test_redis_int(redis, "LLEN bull:p:wait"), 2);
}

static void a_failing_server_is_reported(void **state)
{
    struct test_queue *q = *state;
    ox_error err = { 0 };
    run("CONFIG SET maxmemory 1");
    assert_int_equal(ox_flow_add(q->client, NULL, NULL, "{" JOB "}", NULL, &err), OX_ESERVER);
    assert_non_null(strstr(err.text, "OOM"));
    assert_true(g_str_has_suffix(err.text, "; nothing was done"));
    run("CONFIG SET maxmemory 0");
    assert_int_equal(test_redis_int(redis, "DBSIZE"), 0);

    memset(&err, 0, sizeof(err));
    run("SET bull:p:id text");
    assert_int_equal(ox_flow_add(q->client, NULL, NULL, "{" JOB "}", NULL, &err), OX_ESERVER);
    run("DEL bull:p:id");

    /* The connection is in order afterwards, and after it was cut. */
    g_free(add(q, "{" JOB "}"));
    run("CLIENT KILL TYPE normal SKIPME yes");
    g_free(add(q, "{" JOB "}"));
    assert_int_equal(test_redis_int(redis, "LLEN bull:p:wait"), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_QUEUE(adds_tree_with_dependencies),
        WITH_QUEUE(ids_are_uuids_unless_given),
        WITH_QUEUE(data_arrives_as_it_was_given),
        WITH_QUEUE(nil_means_missing),
        WITH_QUEUE(the_flags_of_a_child_reach_its_parent),
        WITH_QUEUE(flow_jobs_have_own_prefixes),
        WITH_QUEUE(queues_have_the_options_of_the_flow),
        WITH_QUEUE(flow_uses_default_queue),
        WITH_QUEUE(adds_many_trees_in_one_transaction),
        WITH_QUEUE(a_big_flow_is_one_flow),
        WITH_QUEUE(a_deep_flow_is_one_flow),
        WITH_QUEUE(a_parent_runs_when_its_children_are_done),
        WITH_QUEUE(parent_delay_starts_on_release),
        WITH_QUEUE(a_parent_of_completed_children_runs_at_once),
        WITH_QUEUE(a_completed_child_does_not_release_its_parent_early),
        WITH_QUEUE(a_waiting_job_becomes_a_child),
        WITH_QUEUE(a_child_of_another_parent_is_reported),
        WITH_QUEUE(parent_keeps_waiting_for_missing_child),
        WITH_QUEUE(adds_flow_below_existing_parent),
        WITH_QUEUE(a_missing_parent_adds_nothing),
        WITH_QUEUE(bad_flows_are_refused_with_their_place),
        WITH_QUEUE(limits_flow_size),
        WITH_QUEUE(survives_script_flush),
        WITH_QUEUE(a_failing_server_is_reported),
    };
    return cmocka_run_group_tests(tests, test_server_up, test_server_down);
}
