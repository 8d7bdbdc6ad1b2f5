/*
 * test_engine_backend.c - an engine of something that is no job: the entries of a log, by a
 * backend of plain commands, which knows ids alone. See backend.h and engine_rig.h.
 *
 *   TAKE want token            -> token, ids
 *   ACK want token ids         -> places of those refused, (token, ids)
 *   HOLD ids                   -> places of those not held
 *   CLAIM ids                  -> 1 (ours) or -1, each
 *   CHECK, LOOK tokens, AWAIT  -> as the engine asks
 */
#include "engine_rig.h"

struct entry {
    struct ox__run run; /* first */
    char id[16];
};

static guint alive; /* entries that are not released */
static struct ox__marker popped;

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
    put_take(op, "TAKE", asked);
}

static void end(void *self, struct ox__op *op, const struct ox__take *asked,
    struct ox__ends *ends, uint32_t most, struct ox__run_list *carried)
{
    (void)self;
    put_take(op, "ACK", asked);
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
    return reply->type == REDIS_REPLY_ARRAY && reply->elements > 0 &&
           strcmp(taken_of(reply, ends)->element[0]->str, token) == 0;
}

static bool refused(void *self, const redisReply *reply, size_t *i, struct ox__refusal *refusal)
{
    (void)self;
    if (*i >= reply->element[0]->elements) {
        return false;
    }
    *refusal = (struct ox__refusal){ .index = reply->element[0]->element[(*i)++]->integer,
        .number = -1 };
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

static int taken_entry(void *self, const redisReply *reply, bool ends, struct ox__taking *at,
    int64_t now_ms, struct ox__taken *out)
{
    const redisReply *list = taken_of(reply, ends);
    (void)self;
    (void)now_ms;
    if (at->left == 0 || at->i + 1 >= list->elements) {
        return 0;
    }
    at->left--;
    const redisReply *id = list->element[++at->i];
    struct entry *entry = g_new0(struct entry, 1);
    g_strlcpy(entry->id, id->str, sizeof(entry->id));
    entry->run.id = (struct ox__field){ entry->id, strlen(entry->id) };
    entry->run.id_text = entry->id;
    out->run = &entry->run;
    out->id = entry->id;
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
    (void)reply;
    ox__fail(err, OX_ELOCK, "entry %s is another's", id);
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

static bool is_array(void *self, const redisReply *reply)
{
    (void)self;
    return reply->type == REDIS_REPLY_ARRAY;
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

static void check(void *self, struct ox__op *op, const struct ox__check *step)
{
    (void)self;
    (void)step;
    ox__op_command(op, "CHECK");
}

static enum ox__next no_check(void *self, const redisReply *reply, int64_t *skip)
{
    (void)self;
    (void)reply;
    *skip = 0;
    return OX__NEXT_NONE;
}

static bool no_more(void *self, const redisReply *reply, int64_t *skip)
{
    (void)self;
    (void)reply;
    *skip = 0;
    return false;
}

static bool nothing_found(
    void *self, const redisReply *reply, size_t *i, struct ox__found *found)
{
    (void)self;
    (void)reply;
    (void)i;
    (void)found;
    return false;
}

static void look(void *self, struct ox__op *op, int64_t skip, size_t count)
{
    (void)self;
    (void)skip;
    (void)count;
    ox__op_command(op, "LOOK");
}

static void look_for(void *self, struct ox__op *op, const char *token)
{
    (void)self;
    ox__op_text(op, "token", token);
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
    popped = *marker;
    return reply->type != REDIS_REPLY_NIL;
}

static void leave(void *self, struct ox__op *op)
{
    (void)self;
    ox__op_command(op, "LEAVE");
}

static const struct ox__backend log_backend = { .words = { "stream", "entry", "claim" },
    .take = take,
    .end = end,
    .call_fits = call_fits,
    .refused = refused,
    .takings = takings,
    .taken = taken_entry,
    .in_doubt = in_doubt,
    .explain = explain,
    .renew = renew,
    .renew_run = put_run,
    .renew_fits = is_array,
    .renew_lost = renew_lost,
    .claim = claim,
    .claim_run = claim_run,
    .claim_fits = claim_fits,
    .claim_verdict = claim_verdict,
    .check = check,
    .check_fits = any,
    .check_next = no_check,
    .found = nothing_found,
    .return_lost = look,
    .return_token = look_for,
    .return_not = put_run,
    .return_fits = any,
    .return_next = no_more,
    .returned = nothing_found,
    .sleep = await,
    .sleep_fits = any,
    .woken = woken,
    .leave = leave };

/* ---- its owner --------------------------------------------------------------------------- */

static struct ox__engine *engine;
static struct ox__run *held[8];
static guint held_count;
static ox_error last_error; /* that the engine told of */

static void on_up(void *arg)
{
    (void)arg;
    g_string_append(t.told, "up\n");
}

static void on_begin(void *arg, struct ox__run *run)
{
    (void)arg;
    run->theirs = true;
    held[held_count++] = run;
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
    g_string_append_printf(t.told, "stored %s %d%s\n", run->id_text,
        err != NULL ? err->code : 0, own ? "" : " like others");
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
    last_error = *err;
    g_string_append_printf(t.told, "error %s %d\n", id != NULL ? id : "-", err->code);
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

static int log_up(void **state)
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
    engine->setup = (struct ox__setup){ .name = "log",
        .backend = &log_backend,
        .concurrency = 4,
        .batch = 4,
        .calls = 1,
        .lock_ms = 60000,
        .renew_ms = RENEW_MS,
        .stalled_interval_ms = 60000,
        .drain_delay_ms = 5000,
        .command_timeout_ms = 1000 };
    assert_int_equal(ox__engine_init(engine, &t.loop, &link, NULL, &events, t.worker, NULL), 0);
    engine->clock.boot_us = now_us;
    t.scripts->options.up(t.scripts->options.arg);
    t.sleep->options.up(t.sleep->options.arg);
    expect_told("up\n");
    return 0;
}

static int log_down(void **state)
{
    if (!t.closed) {
        ox__engine_abort(engine);
    }
    return tear_down(state);
}

/* The oldest request of that command. */
static struct ox__request *asked(struct ox__link *link, const char *command)
{
    for (GList *at = link->requests.head; at != NULL; at = at->next) {
        struct ox__request *request = at->data;
        char name[24];
        ox__op_name(&request->op, name, sizeof(name));
        if (strcmp(name, command) == 0) {
            g_queue_delete_link(&link->requests, at);
            return request;
        }
    }
    return NULL;
}

/* What was asked, without its token, which is checked. */
static void expect_asked(struct ox__request *request, const char *expected)
{
    assert_non_null(request);
    const struct ox__call *call = request->arg;
    g_autoptr(GPtrArray) all = arguments(request);
    GString *text = g_string_new(all->pdata[0]);
    for (guint i = 1; i < all->len; i++) {
        bool token = strcmp(all->pdata[0], "HOLD") != 0 &&
                     strcmp(all->pdata[0], "CLAIM") != 0 &&
                     strcmp(all->pdata[i], call->token) == 0;
        g_string_append_printf(text, " %s", token ? "T" : (char *)all->pdata[i]);
    }
    assert_string_equal(text->str, expected);
    g_string_free(text, TRUE);
}

/* Ids that a call has taken, behind refusals of ends if it carried some (else NULL). */
static void answer_call(struct ox__request *request, const char *refusals, const char *ids)
{
    const struct ox__call *call = request->arg;
    g_auto(GStrv) all = g_strsplit(ids, " ", -1);
    guint count = *ids != '\0' ? g_strv_length(all) : 0;
    GString *resp = g_string_new(NULL);
    if (refusals != NULL) {
        g_string_append_printf(resp, "*2\r\n%s", refusals);
    }
    g_string_append_printf(resp, "*%u\r\n", count + 1);
    put_bulk(resp, call->token);
    for (guint i = 0; i < count; i++) {
        put_bulk(resp, all[i]);
    }
    answer(request, resp->str);
    g_string_free(resp, TRUE);
}

static void take_entries(const char *ids)
{
    answer_call(asked(t.scripts, "TAKE"), NULL, ids);
}

static void acknowledge(struct ox__run *run)
{
    struct ox__ends *ends = ox__engine_end(engine, run);
    if (ends != NULL) {
        ox__ends_arg(ends, run, run->id.text, run->id.len);
        ox__engine_end_written(engine, run);
    }
}

/* ---- what an engine does for it ---------------------------------------------------------- */

static void claims_and_acknowledges_entries(void **state)
{
    (void)state;
    struct ox__request *request = asked(t.scripts, "TAKE");
    expect_asked(request, "TAKE 4 T");
    answer_call(request, NULL, "1-1 1-2");
    assert_int_equal(held_count, 2);
    acknowledge(held[0]);
    acknowledge(held[1]);
    turn();
    request = asked(t.scripts, "ACK");
    expect_asked(request, "ACK 4 T 1-1 1-2");
    expect_told("");
    answer_call(request, "*1\r\n:2\r\n", "1-3");
    g_autofree char *expected = g_strdup_printf("stored 1-1 0\nstored 1-2 %d\n", OX_ELOCK);
    expect_told(expected);
    assert_int_equal(held_count, 3);
}

/* What is wrong with a whole call is told once; of its runs then only that they are over. */
static void an_unexpected_reply_is_told_once(void **state)
{
    (void)state;
    take_entries("1-1");
    acknowledge(held[0]);
    turn();
    struct ox__request *request = asked(t.scripts, "ACK");
    ox__replies_feed(t.replies, "*2\r\n*0\r\n*1\r\n$1\r\nx\r\n", 20);
    const redisReply *reply = NULL;
    assert_int_equal(ox__replies_next(t.replies, &reply, NULL), 0);
    request->done(request, reply, NULL);
    g_autofree char *expected =
        g_strdup_printf("error - %d\nstored 1-1 %d like others\n", OX_EREPLY, OX_EREPLY);
    expect_told(expected);
}

/* Without its connection an engine has no last words, and waits for no answer to them. */
static void a_close_does_not_wait_for_a_lost_connection(void **state)
{
    (void)state;
    take_entries("");
    assert_true(ox__engine_close(engine));
    turn();
    assert_null(t.scripts->closed);
    lose(t.scripts);
    assert_non_null(t.scripts->closed);
}

static void sleeps_on_empty_stream(void **state)
{
    (void)state;
    take_entries("");
    struct ox__request *request = asked(t.sleep, "AWAIT");
    assert_non_null(request);
    answer(request, "+x\r\n");
    assert_true(popped.now);
    take_entries("1-1");
    assert_int_equal(held_count, 1);
}

static void locks_are_held_and_claimed(void **state)
{
    (void)state;
    take_entries("1-1 1-2");
    pass(RENEW_MS);
    struct ox__request *request = asked(t.scripts, "HOLD");
    expect_asked(request, "HOLD 1-1 1-2");
    answer(request, "*2\r\n:0\r\n:1\r\n");
    request = asked(t.scripts, "CLAIM");
    expect_asked(request, "CLAIM 1-1 1-2");
    answer(request, "*2\r\n:1\r\n:-1\r\n");
    g_autofree char *expected = g_strdup_printf(
        "notice 1-1 %d\nerror 1-2 %d\nlost 1-2\n", OX_NOTICE_LOCKED_AGAIN, OX_ELOCK);
    expect_told(expected);
    assert_string_equal(
        last_error.text, "stream log, entry 1-2: the claim was lost; it may run elsewhere");
    acknowledge(held[1]);
    turn();
    expect_told("dropped 1-2\n");
}

static void recovers_lost_take(void **state)
{
    (void)state;
    lose_and_return(t.scripts);
    struct ox__request *request = asked(t.scripts, "LOOK");
    assert_non_null(request);
    answer(request, "*0\r\n");
}

static void a_close_waits_for_acknowledgements(void **state)
{
    (void)state;
    take_entries("1-1");
    assert_true(ox__engine_close(engine));
    turn();
    acknowledge(held[0]);
    turn();
    struct ox__request *request = asked(t.scripts, "ACK");
    expect_asked(request, "ACK 0 T 1-1");
    assert_null(t.scripts->closed);
    answer_call(request, "*0\r\n", "");
    turn();
    request = asked(t.scripts, "LEAVE");
    assert_null(t.scripts->closed);
    answer(request, ":1\r\n");
    assert_non_null(t.scripts->closed);
    assert_null(asked(t.scripts, "LEAVE"));
}

static void says_no_last_words_without_connection(void **state)
{
    (void)state;
    take_entries("");
    lose(t.scripts);
    assert_true(ox__engine_close(engine));
    turn();
    assert_null(asked(t.scripts, "LEAVE"));
    assert_non_null(t.scripts->closed);
}

/* What such a take has taken waits until its claim is over. */
static void need_not_look_for_lost_takes(void **state)
{
    struct ox__backend backend = log_backend;
    (void)state;
    backend.return_lost = NULL;
    engine->setup.backend = &backend;
    lose_and_return(t.scripts);
    assert_null(asked(t.scripts, "LOOK"));
    assert_non_null(asked(t.scripts, "TAKE"));
    engine->setup.backend = &log_backend;
}

static void unexpected_reply_names_the_command(void **state)
{
    (void)state;
    struct ox__request *request = asked(t.scripts, "TAKE");
    const redisReply *reply = NULL;
    ox__replies_feed(t.replies, "+OK\r\n", 5);
    assert_int_equal(ox__replies_next(t.replies, &reply, NULL), 0);
    request->done(request, reply, NULL);
    turn();
    g_autofree char *expected = g_strdup_printf("error - %d\n", OX_EREPLY);
    expect_told(expected);
    assert_string_equal(last_error.text, "stream log: TAKE: unexpected reply type");
}

int main(void)
{
#define LOG_TEST(name) cmocka_unit_test_setup_teardown(name, log_up, log_down)
    const struct CMUnitTest tests[] = {
        LOG_TEST(claims_and_acknowledges_entries),
        LOG_TEST(an_unexpected_reply_is_told_once),
        LOG_TEST(a_close_does_not_wait_for_a_lost_connection),
        LOG_TEST(sleeps_on_empty_stream),
        LOG_TEST(locks_are_held_and_claimed),
        LOG_TEST(recovers_lost_take),
        LOG_TEST(need_not_look_for_lost_takes),
        LOG_TEST(a_close_waits_for_acknowledgements),
        LOG_TEST(says_no_last_words_without_connection),
        LOG_TEST(unexpected_reply_names_the_command),
    };
    return cmocka_run_group_tests_name("engine backend", tests, NULL, NULL);
}
