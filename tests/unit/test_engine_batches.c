/*
 * test_engine_batches.c - an engine whose runs are batches: of several items each, which are
 * taken together, and end in part done and in part failed. Nothing is checked, and no take is
 * looked for: what has lost its claim, others claim by themselves. See engine_rig.h.
 *
 *   READ want token                      -> token, (id, items), (id, items) ..
 *   DONE want token (id, failed items) ..-> (place, items refused) .., (token, batches)
 *   HOLD ids                             -> places of those not held
 *   CLAIM ids                            -> 1 (ours) or -1, each
 *   AWAIT ms                             -> anything, when there is more
 */
#include "engine_rig.h"

#define ITEMS_MAX 4

struct batch {
    struct ox__run run; /* first */
    char id[16];
    char items[ITEMS_MAX][16];
    guint count;
};

static guint alive; /* batches that are not released */

/* ---- the backend ------------------------------------------------------------------------- */

static void put_take(struct ox__op *op, const char *command, const struct ox__take *take)
{
    ox__op_command(op, command);
    ox__op_int(op, "want", take->want);
    ox__op_text(op, "token", take->token);
}

static void take(void *self, struct ox__op *op, const struct ox__take *asked)
{
    (void)self;
    put_take(op, "READ", asked);
}

static void end(void *self, struct ox__op *op, const struct ox__take *asked,
    struct ox__ends *ends, uint32_t most, struct ox__run_list *carried)
{
    (void)self;
    put_take(op, "DONE", asked);
    for (uint32_t n = 0; ends->runs.head != NULL && n < most; n++) {
        ox__ends_move(ends, op, false, carried);
    }
    ox__ends_drop_sent(ends);
}

static const redisReply *taken_of(const redisReply *reply, bool ends)
{
    return ends ? reply->element[1] : reply;
}

static bool call_fits(void *self, const redisReply *reply, bool ends, const char *token)
{
    (void)self;
    return strcmp(taken_of(reply, ends)->element[0]->str, token) == 0;
}

/* A batch that is stored for a part is refused for the rest. */
static bool refused(void *self, const redisReply *reply, size_t *i, struct ox__refusal *refusal)
{
    (void)self;
    const redisReply *all = reply->element[0];
    if (*i * 2 >= all->elements) {
        return false;
    }
    *refusal = (struct ox__refusal){
        .index = all->element[*i * 2]->integer, .number = -1, .reply = all->element[*i * 2 + 1]
    };
    ++*i;
    return true;
}

static int takings(
    void *self, const redisReply *reply, bool ends, struct ox__takings *out, ox_error *err)
{
    (void)self;
    (void)reply;
    (void)ends;
    (void)err;
    *out = (struct ox__takings){ 0 };
    return 0;
}

static int taken_batch(void *self, const redisReply *reply, bool ends, struct ox__taking *at,
    int64_t now_ms, struct ox__taken *out)
{
    const redisReply *list = taken_of(reply, ends);
    (void)self;
    (void)now_ms;
    if (at->left == 0 || at->i + 1 >= list->elements) {
        return 0;
    }
    at->left--;
    const redisReply *one = list->element[++at->i];
    struct batch *batch = g_new0(struct batch, 1);
    g_strlcpy(batch->id, one->element[0]->str, sizeof(batch->id));
    for (size_t i = 1; i < one->elements; i++) {
        g_strlcpy(batch->items[batch->count++], one->element[i]->str, sizeof(batch->items[0]));
    }
    batch->run.id = (struct ox__field){ batch->id, strlen(batch->id) };
    batch->run.id_text = batch->id;
    out->run = &batch->run;
    out->id = batch->id;
    alive++;
    return 1;
}

static bool in_doubt(void *self, int refusal, bool resent)
{
    (void)self;
    return refusal == -1 && resent;
}

static void explain(
    void *self, const char *id, int64_t number, const redisReply *reply, ox_error *err)
{
    (void)self;
    (void)number;
    ox__fail(err, OX_ELOCK, "batch %s: %lld items are another's", id,
        reply != NULL ? reply->integer : 0);
}

static void renew(void *self, struct ox__op *op, uint32_t lock_ms)
{
    (void)self;
    (void)lock_ms;
    ox__op_command(op, "HOLD");
}

static void put_run(void *self, struct ox__op *op, const struct ox__run *run)
{
    (void)self;
    ox__op_text(op, "id", run->id_text);
}

static bool renew_lost(void *self, const redisReply *reply, size_t i, size_t *run)
{
    (void)self;
    if (i >= reply->elements) {
        return false;
    }
    *run = (size_t)reply->element[i]->integer;
    return true;
}

static void claim(void *self, struct ox__op *op, uint32_t lock_ms)
{
    (void)self;
    (void)lock_ms;
    ox__op_command(op, "CLAIM");
}

static void claim_run(void *self, struct ox__op *op, const struct ox__run *run, bool ended)
{
    (void)ended;
    put_run(self, op, run);
}

static bool claim_fits(void *self, const redisReply *reply, size_t runs)
{
    (void)self;
    return reply->elements == runs;
}

static int64_t claim_verdict(void *self, const redisReply *reply, size_t run)
{
    (void)self;
    return reply->element[run]->integer;
}

static void await(void *self, struct ox__op *op, uint32_t ms)
{
    (void)self;
    ox__op_command(op, "AWAIT");
    ox__op_int(op, "ms", ms);
}

static bool any(void *self, const redisReply *reply)
{
    (void)self;
    (void)reply;
    return true;
}

static bool woken(void *self, const redisReply *reply, struct ox__marker *marker)
{
    (void)self;
    *marker = (struct ox__marker){ .member = "", .score = "", .now = true };
    return reply->type != REDIS_REPLY_NIL;
}

static const struct ox__backend batches_backend = { .words = { "stream", "batch", "claim" },
    .take = take,
    .end = end,
    .call_fits = call_fits,
    .refused = refused,
    .takings = takings,
    .taken = taken_batch,
    .in_doubt = in_doubt,
    .explain = explain,
    .renew = renew,
    .renew_run = put_run,
    .renew_fits = any,
    .renew_lost = renew_lost,
    .claim = claim,
    .claim_run = claim_run,
    .claim_fits = claim_fits,
    .claim_verdict = claim_verdict,
    .sleep = await,
    .sleep_fits = any,
    .woken = woken };

/* ---- its owner --------------------------------------------------------------------------- */

static struct ox__engine *engine;
static struct batch *held[8];
static guint held_count;

static void on_up(void *arg)
{
    (void)arg;
}

static void on_begin(void *arg, struct ox__run *run)
{
    (void)arg;
    run->theirs = true;
    held[held_count++] = (struct batch *)run;
}

static void on_lock_lost(void *arg, struct ox__run *run)
{
    (void)arg;
    g_string_append_printf(t.told, "lost %s\n", run->id_text);
}

static void on_claimed(void *arg, struct ox__run *run, int64_t verdict)
{
    (void)arg;
    (void)run;
    (void)verdict;
}

static bool on_refused(void *arg, struct ox__run *run)
{
    (void)arg;
    (void)run;
    return false;
}

static void on_stored(void *arg, struct ox__run *run, const ox_error *err, bool own)
{
    (void)arg;
    (void)own;
    g_string_append_printf(
        t.told, "stored %s%s%s\n", run->id_text, err != NULL ? ": " : "", err ? err->text : "");
}

static void on_dropped(void *arg, struct ox__run *run)
{
    (void)arg;
    g_string_append_printf(t.told, "dropped %s\n", run->id_text);
}

static void on_release(void *arg, struct ox__run *run)
{
    (void)arg;
    alive--;
    ox__buf_done(&run->end.kept);
    g_free(run);
}

static void on_engine_error(void *arg, const char *id, const ox_error *err)
{
    (void)arg;
    (void)id;
    g_string_append_printf(t.told, "error: %s\n", err->text);
}

static void on_engine_notice(void *arg, int notice, const char *id)
{
    (void)arg;
    g_string_append_printf(t.told, "notice %s %d\n", id, notice);
}

static void on_engine_closed(void *arg)
{
    ox__engine_done(engine);
    assert_int_equal(alive, 0);
    g_free(arg);
    t.closed = true;
}

/* One batch at a time. */
static int batches_up(void **state)
{
    static const struct ox__engine_events events = { .up = on_up,
        .begin = on_begin,
        .lock_lost = on_lock_lost,
        .claimed = on_claimed,
        .refused = on_refused,
        .stored = on_stored,
        .dropped = on_dropped,
        .release = on_release,
        .error = on_engine_error,
        .notice = on_engine_notice,
        .closed = on_engine_closed };
    const struct ox__link_options link = { 0 };
    set_up(state);
    alive = held_count = 0;
    t.worker = g_new0(ox_worker, 1); /* its engine alone is used */
    engine = &t.worker->engine;
    engine->setup = (struct ox__setup){ .name = "events",
        .backend = &batches_backend,
        .concurrency = 1,
        .batch = 1,
        .calls = 1,
        .lock_ms = 60000,
        .renew_ms = RENEW_MS,
        .stalled_interval_ms = 4000,
        .drain_delay_ms = 5000,
        .command_timeout_ms = 1000 };
    assert_int_equal(ox__engine_init(engine, &t.loop, &link, NULL, &events, t.worker, NULL), 0);
    engine->clock.boot_us = now_us;
    t.scripts->options.up(t.scripts->options.arg);
    t.sleep->options.up(t.sleep->options.arg);
    return 0;
}

static int batches_down(void **state)
{
    if (!t.closed) {
        ox__engine_abort(engine);
    }
    return tear_down(state);
}

/* The only request on a link, with its token as T. */
static struct ox__request *asked(struct ox__link *link, const char *expected)
{
    assert_int_equal(g_queue_get_length(&link->requests), 1);
    struct ox__request *request = g_queue_pop_head(&link->requests);
    g_autoptr(GPtrArray) all = arguments(request);
    g_ptr_array_add(all, NULL);
    g_autofree char *text = g_strjoinv(" ", (char **)all->pdata);
    const char *token = engine->calls.call[0].token;
    g_auto(GStrv) parts = g_strsplit(text, token, -1);
    g_autofree char *shown = g_strjoinv("T", parts);
    assert_string_equal(shown, expected);
    return request;
}

/* A call's answer: "1:a,b,c" is the batch 1 with three items; NULL: none. Behind refusals of
 * ends if it carried some (else NULL). */
static void answer_call(struct ox__request *request, const char *refusals, const char *batch)
{
    const struct ox__call *call = request->arg;
    GString *resp = g_string_new(NULL);
    if (refusals != NULL) {
        g_string_append_printf(resp, "*2\r\n%s", refusals);
    }
    g_string_append_printf(resp, "*%d\r\n", batch != NULL ? 2 : 1);
    put_bulk(resp, call->token);
    g_auto(GStrv) words = g_strsplit_set(batch != NULL ? batch : "", ":,", -1);
    if (batch != NULL) {
        g_string_append_printf(resp, "*%u\r\n", g_strv_length(words));
    }
    for (guint i = 0; words[i] != NULL; i++) {
        put_bulk(resp, words[i]);
    }
    answer(request, resp->str);
    g_string_free(resp, TRUE);
}

/* The program is done with a batch, but for the items in `failed`, a bit each. */
static void finish(struct batch *batch, guint failed)
{
    struct ox__ends *ends = ox__engine_end(engine, &batch->run);
    if (ends == NULL) {
        return;
    }
    g_autoptr(GString) list = g_string_new(NULL);
    for (guint i = 0; i < batch->count; i++) {
        if (failed & 1u << i) {
            g_string_append_printf(list, "%s%s", list->len > 0 ? "," : "", batch->items[i]);
        }
    }
    ox__ends_arg(ends, &batch->run, batch->id, strlen(batch->id));
    ox__ends_arg(ends, &batch->run, list->str, list->len);
    ox__engine_end_written(engine, &batch->run);
    turn();
}

/* ---- what an engine does for it ---------------------------------------------------------- */

static void a_batch_has_one_slot_for_all_its_items(void **state)
{
    (void)state;
    answer_call(asked(t.scripts, "READ 1 T"), NULL, "7:a,b,c");
    assert_int_equal(held_count, 1);
    assert_int_equal(held[0]->count, 3);
    assert_string_equal(held[0]->items[2], "c");
    turn();
    assert_int_equal(g_queue_get_length(&t.scripts->requests), 0); /* the slot is taken */
    assert_int_equal(g_queue_get_length(&t.sleep->requests), 0);
}

/* The next batch comes with the end of the last. */
static void a_batch_ends_in_part_done_and_in_part_failed(void **state)
{
    (void)state;
    answer_call(asked(t.scripts, "READ 1 T"), NULL, "7:a,b,c");
    finish(held[0], 1u << 0 | 1u << 2);
    answer_call(asked(t.scripts, "DONE 1 T 7 a,c"), "*0\r\n", "8:d");
    expect_told("stored 7\n");
    assert_int_equal(held_count, 2);
    finish(held[1], 0);
    answer_call(asked(t.scripts, "DONE 1 T 8 "), "*0\r\n", NULL);
    expect_told("stored 8\n");
}

static void an_end_is_refused_for_a_part_of_its_items(void **state)
{
    (void)state;
    answer_call(asked(t.scripts, "READ 1 T"), NULL, "7:a,b,c");
    finish(held[0], 0);
    answer_call(asked(t.scripts, "DONE 1 T 7 "), "*2\r\n:1\r\n:2\r\n", NULL);
    expect_told("stored 7: batch 7: 2 items are another's\n");
}

static void a_batch_that_was_claimed_by_others_is_dropped(void **state)
{
    (void)state;
    answer_call(asked(t.scripts, "READ 1 T"), NULL, "7:a,b,c");
    pass(RENEW_MS);
    answer(asked(t.scripts, "HOLD 7"), "*1\r\n:0\r\n");
    answer(asked(t.scripts, "CLAIM 7"), "*1\r\n:-1\r\n");
    expect_told("error: stream events, batch 7: the claim was lost; it may run elsewhere\n"
                "lost 7\n");
    finish(held[0], 0);
    turn();
    expect_told("dropped 7\n");
    answer(asked(t.sleep, "AWAIT 5000"), "+more\r\n"); /* its slot is free */
    answer_call(asked(t.scripts, "READ 1 T"), NULL, "8:d");
    assert_int_equal(held_count, 2);
}

static void a_batch_that_is_cut_off_is_stopped(void **state)
{
    (void)state;
    engine->setup.fence = true;
    engine->locks.fence_at_ms = t.now_us / 1000;
    answer_call(asked(t.scripts, "READ 1 T"), NULL, "7:a,b,c");
    pass(engine->setup.lock_ms);
    expect_told("error: stream events, batch 7: no connection to Redis until the claim "
                "expired; the run is stopped\nlost 7\n");
    assert_true(held[0]->run.lock.fenced);
}

/* An end that was sent twice around an outage may have been stored the first time. */
static void an_end_that_was_sent_twice_is_asked_about(void **state)
{
    (void)state;
    answer_call(asked(t.scripts, "READ 1 T"), NULL, "7:a,b");
    finish(held[0], 1u << 1);
    lose_and_return(t.scripts);
    answer_call(asked(t.scripts, "DONE 1 T 7 b"), "*2\r\n:1\r\n:2\r\n", NULL);
    answer(asked(t.scripts, "CLAIM 7"), "*1\r\n:1\r\n");
    answer_call(asked(t.scripts, "DONE 1 T 7 b"), "*0\r\n", NULL);
    g_string_erase(t.told, 0, (gssize)(strstr(t.told->str, "stored") - t.told->str));
    expect_told("stored 7\n");
}

/* For as long as several intervals, and over an outage. */
static void nothing_is_checked(void **state)
{
    (void)state;
    answer_call(asked(t.scripts, "READ 1 T"), NULL, NULL);
    pass(4 * (int64_t)engine->setup.stalled_interval_ms);
    assert_int_equal(g_queue_get_length(&t.scripts->requests), 0);
    lose_and_return(t.scripts);
    pass(2 * (int64_t)engine->setup.lock_ms);
    answer_call(asked(t.scripts, "READ 1 T"), NULL, NULL);
    assert_int_equal(g_queue_get_length(&t.scripts->requests), 0);
}

int main(void)
{
#define BATCH_TEST(name) cmocka_unit_test_setup_teardown(name, batches_up, batches_down)
    const struct CMUnitTest tests[] = {
        BATCH_TEST(a_batch_has_one_slot_for_all_its_items),
        BATCH_TEST(a_batch_ends_in_part_done_and_in_part_failed),
        BATCH_TEST(an_end_is_refused_for_a_part_of_its_items),
        BATCH_TEST(a_batch_that_was_claimed_by_others_is_dropped),
        BATCH_TEST(a_batch_that_is_cut_off_is_stopped),
        BATCH_TEST(an_end_that_was_sent_twice_is_asked_about),
        BATCH_TEST(nothing_is_checked),
    };
    return cmocka_run_group_tests_name("engine of batches", tests, NULL, NULL);
}
