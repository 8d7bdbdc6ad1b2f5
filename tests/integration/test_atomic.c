/*
 * test_atomic.c - a script that fails half way harms nothing.
 *
 * Redis does not take back what a script wrote before it failed. So each script of the library
 * runs, on a server full of jobs in every state (atomic/setup.lua), with an error at its first
 * call, then at its second, and so on until it has none left; with every key that it touches in
 * turn of a wrong type, or denied by the server's access list; and with every command that it
 * writes with denied. After each of these
 *
 *   - a script that failed has changed nothing;
 *   - no job is in no state or in two, no lock is held for a job that does not run, and no
 * event tells of an end that is not so;
 *   - when the key is whole again, the same call brings every job to where it belongs.
 *
 * A script that writes needs a row in `rows`; the others are told by running them read-only.
 */
#include "../support/check.h"

#include <glib.h>
#include <stdio.h>
#include <string.h>

#include "../support/files.h"
#include "../support/redis.h"
#include "scripts.h"

/* A call of a script: its arguments by name as far as `defaults` are not right, and what
 * follows them, by spaces ('-' for none); `prepare`: Lua, behind atomic/setup.lua. */
struct row {
    const char *script, *args, *rest, *prepare;
};

#define SCHEDULE                                                                               \
    "name=n data={} template_opts={} tz= limit= pattern= start_ms= end_ms= every=60000 "       \
    "offset= opts={\"jobId\":\" priority=0 lifo=0"

static const char defaults[] =
    "base=t:q: flags=e max_events=10000 now=1700000000000 want=0 token=T2 lock_ms=600000 "
    "name=ox limit_max=0 limit_ms=0 popped= look=1 error_ms=-1 apart= "
    "metrics_points=10 keep= "
    "parents=1 id=w1 "
    "start=0 stop=-1 state=completed before=9000000000000 skip=0 part=1 cursor=0 limit=100 "
    "quiet=0 group=g";

/* A stream with two queues bound to events of type a. */
#define STREAM "base=t::ox:{s}: prefix=t stream=s "
#define CALL "deflated=0 largest=2 "
#define WITH_STREAM                                                                            \
    "redis.call('HSET', 't::ox:{s}:info', 'layout', '1', 'n', '3', 'jobs', '0', "              \
    "'duplicates', '0', 'ms', '5', 'floor_ms', "                                               \
    "'5', "                                                                                    \
    "'half', '1', 'turned', '5'); "                                                            \
    "redis.call('XADD', 't::ox:{s}:log', '5-3', 'e', '{}\\n{}\\n{}', 'c', '3'); "              \
    "redis.call('HSET', 't::ox:{s}:binds', 'a q', "                                            \
    "'{\"n\":1,\"pattern\":\"a\",\"queue\":\"q\",\"opts\":\"{}\"}', 'a r', "                   \
    "'{\"n\":2,\"pattern\":\"*\",\"queue\":\"r\",\"opts\":\"{}\",\"delay\":5000}'); "          \
    "redis.call('HSET', 't::ox:{s}:seen0', 'k0', '4-1'); "                                     \
    "redis.call('SADD', 't::ox:streams', 's')"
/* With a group that has read the first entry and has a dead letter. */
#define WITH_GROUP                                                                             \
    WITH_STREAM                                                                                \
    " redis.call('XGROUP', 'CREATE', 't::ox:{s}:log', 'g', '0'); "                             \
    "redis.call('HSET', 't::ox:{s}:info', 'lost:g', '2'); "                                    \
    "redis.call('XADD', 't::ox:{s}:g:dead', '6-1', 'e', '{}', 'p', '5-3')"

/* Runs that were taken without a lock, three of one take. */
#define AGAIN "@2:1700000000000:9999999999999:1:T"
#define LATE "@1:1700000000000:9999999999999:1:T"
#define OPEN(late) "3 @" #late ":1700000000000:9999999999999:0:T"
#define NO_LOCKS                                                                               \
    "for _, id in ipairs({ 'a1', 'a2', 'a5', 'a6', 'a8' }) do "                                \
    "redis.call('DEL', 't:q:' .. id .. ':lock') end"

/* A member has an entry of the log and one of `again`; an entry of each is new. */
#define WITH_PENDING                                                                           \
    WITH_GROUP                                                                                 \
    " redis.call('XADD', 't::ox:{s}:g:again', '7-1', 'e', '{}', 'p', '5-3'); "                 \
    "redis.call('XGROUP', 'CREATE', 't::ox:{s}:g:again', 'g', '0'); "                          \
    "for _, key in ipairs({ 't::ox:{s}:log', 't::ox:{s}:g:again' }) do "                       \
    "redis.call('XREADGROUP', 'GROUP', 'g', 'm@', 'STREAMS', key, '>'); end "                  \
    "redis.call('XCLAIM', 't::ox:{s}:log', 'g', 'm@', 0, '5-3', 'IDLE', 99999, 'JUSTID'); "    \
    "redis.call('XADD', 't::ox:{s}:log', '6-6', 'e', '{}', 'c', '1'); "                        \
    "redis.call('XADD', 't::ox:{s}:g:again', '7-2', 'e', '{}', 'p', '5-3')"
/* That entry was claimed an hour from now, before the clock was set back. */
#define WITH_CLAIM_TO_COME                                                                     \
    WITH_PENDING                                                                               \
    "; redis.call('XCLAIM', 't::ox:{s}:log', 'g', 'm@', 0, '5-3', 'TIME', "                    \
    "string.format('%.0f', (redis.call('TIME')[1] + 3600) * 1000), 'JUSTID')"
#define TAKE                                                                                   \
    "group=g member=n@ place=start ms=0 number=0 want=9 bytes=999 per=1 size=100 most=5"

static const struct row rows[] = {
    { "publish_events", STREAM CALL "id=c1", "2 1k1,0k2 a,b {}\n{} - 1 1k3 a {} -",
        WITH_STREAM },
    { "publish_events", STREAM CALL "id=c1", "2 1k1,1k0 a {}\n{} zz", WITH_STREAM },
    { "publish_events", STREAM CALL "id=", "2 - - {}\n{} - 1 - - {} -", NULL },
    { "bind_queue", STREAM "field=b rest=}", NULL, WITH_STREAM },
    { "bind_queue", STREAM "field=b rest=}", NULL, NULL },
    { "unbind_queue", STREAM "field=a", NULL, WITH_STREAM },
    { "set_stream", STREAM, "keep_ms 5", WITH_STREAM },
    { "set_stream", STREAM, "keep_ms 5", NULL },
    { "trim_stream", STREAM "keep=0 before=0", NULL, WITH_STREAM },
    { "remove_stream", STREAM "force=0", NULL, WITH_GROUP },
    { "create_group", STREAM "group=g place=start ms=0 number=0", NULL, WITH_STREAM },
    { "create_group", STREAM "group=g place=end ms=0 number=0", NULL, NULL },
    { "seek_group", STREAM "group=g place=end ms=0 number=0", NULL, WITH_GROUP },
    { "read_members", STREAM "group=g", NULL, WITH_GROUP },
    { "remove_group", STREAM "group=g force=0", NULL, WITH_GROUP },
    { "retry_dead", STREAM "group=g last=", "6-1 7-1", WITH_GROUP },
    { "replay_events", STREAM "group=g", "5-2 {} 5-3 {}", WITH_GROUP },
    { "retry_dead", STREAM "group=g last=+", NULL, WITH_GROUP },
    { "take_events", STREAM TAKE " known= idle_ms=10 lease_ms=0", NULL, WITH_PENDING },
    { "take_events", STREAM TAKE " known= idle_ms=0 lease_ms=1000", NULL, WITH_PENDING },
    { "take_events", STREAM TAKE " known= idle_ms=-1 lease_ms=0", NULL, WITH_STREAM },
    { "take_events", STREAM TAKE " known= idle_ms=1 lease_ms=0", NULL, WITH_CLAIM_TO_COME },
    { "take_events", STREAM TAKE " known= idle_ms=0 lease_ms=1000", NULL,
        WITH_PENDING "; redis.call('SET', 't::ox:{s}:g:owner', 'm@', 'PX', '3600000'); "
                     "redis.call('HSET', 't::ox:{s}:info', 'lease:g', '1000')" },
    { "end_events", STREAM "group=g member=m@ held=2",
        "l 5-3 k 2 d 5-1 {} why 1 1 a 5-2 {} - 0 1 a 7-1 k 0", WITH_PENDING },
    { "end_events", STREAM "group=g member=m@ held=2", "l 5-3 r 0 a 7-1 r 0", WITH_PENDING },
    { "end_events", STREAM "group=g member=m@ held=2", "l 5-3 k 0",
        WITH_PENDING "; redis.call('HSET', 't::ox:{s}:g:gone', '5-3', '3', '4-1', '1')" },
    { "take_events", STREAM TAKE " known= idle_ms=10 lease_ms=0", NULL,
        WITH_PENDING "; redis.call('HSET', 't::ox:{s}:g:gone', '5-3', '3'); "
                     "redis.call('XDEL', 't::ox:{s}:log', '5-3')" },
    { "end_events", STREAM "group=g member=m@ held=2", "l 5-3 r3+7 0 a 7-1 k 0", WITH_PENDING },
    { "ack_events", STREAM "group=g member=m@ held=2 low=5-3 high=5-3", "5-3",
        WITH_PENDING "; redis.call('HSET', 't::ox:{s}:g:gone', '5-3', '3', '4-1', '1')" },
    { "check_group", STREAM "group=g count=9", NULL,
        WITH_PENDING "; redis.call('XDEL', 't::ox:{s}:log', '5-3')" },
    { "trim_stream", STREAM "keep=0 before=0", NULL, WITH_PENDING },
    { "renew_events", STREAM "group=g member=m@ lease_ms=0", "l 5-3 3 a 7-1 1", WITH_PENDING },
    { "leave_group", STREAM "group=g member=m@", NULL, WITH_PENDING },
    { "take_jobs", "want=20", NULL, NULL },
    { "take_jobs", "want=20 limit_max=100 limit_ms=60000 popped=1", NULL, NULL },
    { "take_jobs", "want=20 error_ms=5", NULL, NULL },
    { "take_jobs", "want=20", NULL,
        "redis.call('HSET', 't:q:w1', 'data', string.rep('x', 5000))" },
    { "take_jobs", "want=20 apart=1", NULL,
        "redis.call('HSET', 't:q:w2', 'ats', '3', 'processedOn', '7', 'atm', '2'); "
        "redis.call('HSET', 't:q:w3', 'ats', 'x'); redis.call('DEL', 't:q:w4')" },
    { "take_jobs", "want=20 apart=1 limit_max=100 limit_ms=60000 popped=1", NULL, NULL },
    { "take_jobs", "want=20 apart=1 lock_ms=0", NULL, NULL },
    { "take_jobs", "want=20 apart=1 lock_ms=-1", NULL,
        "redis.call('HSET', 't:q:w1', 'data', string.rep('x', 5000)); "
        "redis.call('HSET', 't:q:w2', 'ats', '3', 'processedOn', '7'); "
        "redis.call('HSET', 't:q:w3', 'stc', '1')" },
    { "complete_jobs", "want=20 apart=1", "6 T a1 {} a2 {} a3 {} a5 {} a6 {} a8 {}", NULL },
    { "take_jobs", "want=1", NULL,
        "redis.call('LTRIM', 't:q:wait', '-1', '-1'); redis.call('DEL', 't:q:prioritized', "
        "'t:q:delayed')" },
    { "take_jobs", "want=20 lock_ms=0", NULL, NULL },
    { "take_jobs", "want=20 lock_ms=-1", NULL, NULL },
    { "complete_jobs", "want=20 lock_ms=-1", OPEN(1) " a1 {} a2 {} a5 {}", NO_LOCKS },
    { "complete_jobs", "want=20 lock_ms=0", OPEN(0) " a1 {} a2 {} a5 {} 2 T a6 {} a8 {}",
        "redis.call('DEL', 't:q:a1:lock', 't:q:a2:lock', 't:q:a5:lock')" },
    { "complete_jobs", "keep=0", OPEN(1) " a1 {} a2 {} a5 {}", NO_LOCKS },
    { "complete_jobs", "want=20", "6 T a1 {} a2 {} a3 {} a5 {} a6 {} a8 {}", NULL },
    { "complete_jobs", "want=20 error_ms=5", "2 T a1 {} a2 {}", NULL },
    { "complete_jobs", "keep=0", "4 T a1 {} a3 {} a5 {} a6 {}", NULL },
    { "complete_jobs", "parents=0", "2 T a1 {} a2 {}", NULL },
    { "end_jobs", "want=20",
        "c - T a1 {} f - T a3 why [] 1 - c - T a4 {} d - T a5 why [] 5000 tm "
        "w - T a2 why [] 0 - r - T a7 w2 - 0 - l - T a8 - - 5000 - c - T a6 {}",
        NULL },
    { "end_jobs", "want=20 error_ms=5", "f - T a1 why [] 1 - d - T a2 why [] 5000 tm", NULL },
    { "end_jobs", "", "c 1:: T a1 {} f 0 T a3 why [] 1 - f 1:: T a6 why [] 1 tm", NULL },
    { "end_jobs", "", "W - T a1 why [] 0 - m - T a2 - - 5000 - f - T a4 why [] 1 -", NULL },
    { "end_jobs", "want=20",
        "M - T a1 - - 5000 - R - T a7 w2 - 0 - R - T a2 - - 0 - c - T a4 {}",
        "redis.call('HSET', 't:q:a1', 'ats', '3'); redis.call('HSET', 't:q:a7', 'ats', '3')" },
    { "end_jobs", "want=20 error_ms=5",
        "R - T a2 w3 - 0 - M - T a5 - - 5000 - M - T a7 - - 9000 -", NULL },
    { "end_jobs", "want=20 lock_ms=-1",
        "c - " LATE " a1 {} f - " LATE " a3 why [] 1 - c - " LATE " a4 {} d - " LATE
        " a5 why [] 5000 tm w - " LATE " a2 why [] 0 - r - " LATE " a7 w2 - 0 - M - " LATE
        " a8 - - 5000 - c - T a6 {}",
        "redis.call('DEL', 't:q:a1:lock', 't:q:a2:lock', 't:q:a3:lock', 't:q:a4:lock', "
        "'t:q:a5:lock', 't:q:a7:lock', 't:q:a8:lock')" },
    { "add_plain", "opts={} timestamp=1 name=n", "{} {} {}", NULL },
    { "add_plain", "opts={} timestamp=1 name=n", "{}", NULL },
    { "add_jobs", "",
        "- x1 n {} {} 1 0 0 - x2 n {} {} 1 5000 0 - x3 n {} {} 1 0 4 l x4 n {} {} 1 0 0",
        NULL },
    { "add_jobs", "",
        "d x1 n {} {} 1 0 0 new 0 - d x2 n {} {} 1 0 0 d1 0 k d x3 n {} {} 1 5 0 d3 0 r "
        "d x4 n {} {} 1 5 0 new2 60000 x d x5 n {} {} 1 5 0 d2 60000 x",
        NULL },
    { "add_jobs", "",
        "p x1 n {} {} 1 0 0 t:q:p1 {} w x2 n {} {} 1 0 0 - x3 n {} {} 1 0 0 "
        "p c1 n {} {} 1 0 0 t:q:p3 {} p w1 n {} {} 1 0 0 t:r:p2 {} p x4 n {} {} 1 0 0 t:r:p5 "
        "{}",
        NULL },
    { "set_scheduler", "scheduler=s1 " SCHEDULE, "-", NULL },
    { "set_scheduler", "scheduler=new " SCHEDULE, "-", NULL },
    { "next_iteration",
        "scheduler=s2 producer=repeat:s2:1600000000000 every=60000 offset= end_ms= "
        "opts={\"jobId\":\" priority=0 lifo=0",
        "-", NULL },
    { "remove_scheduler", "scheduler=s1", NULL, NULL },
    { "check_stalled", "every_ms=30000 late_ms=30000 max_stalled=0 skip=-1", NULL, NULL },
    { "check_stalled", "every_ms=30000 late_ms=30000 max_stalled=0 skip=0", NULL,
        "redis.call('SET', 't:q:stalled-check', '1', 'PX', '30000')" },
    { "restore_jobs", "max_stalled=0 cursor=0", NULL, NULL },
    { "return_lost", "count=1", "T a1 a2", NULL },
    { "claim_runs", "", "a12 " LATE " 1 2 - 0 a1 " LATE " 1 2 - 0 a13 " LATE " 1 2 c 1", NULL },
    { "claim_runs", "name=w", "a12 " LATE " 1 2 - 0 a13 " LATE " 1 2 - 0",
        "redis.call('LREM', 't:q:active', 1, 'a12'); redis.call('DEL', 't:q:a12:lock'); "
        "redis.call('HDEL', 't:q:a12', 'ats', 'processedOn', 'stc'); "
        "redis.call('HSET', 't:q:a12', 'failedReason', 'cancelled', 'finishedOn', '9', 'atm', "
        "'1')" },
    { "claim_runs", "", "a12 " AGAIN " 4 2 - 0 a1 " AGAIN " 1 2 - 0 a13 " AGAIN " 2 2 - 0",
        "redis.call('HSET', 't:q:a12', 'ats', '3', 'processedOn', '7')" },
    { "claim_runs", "", "a12 T 1 2 - 0 a1 T 1 2 - 0 a13 T 1 2 c 1 a14 T 1 2 - 0", NULL },
    { "read_run", "id=a12 token=T", NULL, NULL },
    { "wait_children", "job_id=a10 token=T", NULL, NULL },
    { "release_parents", "", "p3 p1", NULL },
    { "change_delay", "id=late2 delay=5000", NULL, NULL },
    { "change_priority", "priority=3 lifo=0", NULL, NULL },
    { "change_priority", "id=pr1 priority=0 lifo=1", NULL, NULL },
    { "update_data", "data=x", NULL, NULL },
    { "update_progress", "progress=5", NULL, NULL },
    { "add_log", "id=a5 row=x keep=2", NULL, NULL },
    { "clear_logs", "id=a5 keep=1", NULL, NULL },
    { "clear_logs", "id=a5 keep=0", NULL, NULL },
    { "renew_locks", "", "a1 T a2 T a3 no", NULL },
    { "remove_jobs", "", "w2", NULL },
    { "remove_jobs", "", "w3 w2 w4", NULL },
    { "remove_jobs", "", "w5", NULL },
    { "remove_jobs", "", "w3 w5 none late1 w3", NULL },
    { "remove_children", "key=t:q:p4 part=1 cursor=0 remove=1", NULL, NULL },
    { "remove_dependency", "id=w5", NULL, NULL },
    { "remove_dedup", "dedup_id=d2", NULL, NULL },
    { "set_limits", "", "concurrency 100 max - paused -", NULL },
    { "give_marker", "score=0 member=0", NULL, NULL },
    { "pause", "flags=el", NULL, NULL },
    { "pause", "flags=el", NULL, "redis.call('RENAME', 't:q:paused', 't:r:paused')" },
    { "resume", "flags=el", NULL, "redis.call('HSET', 't:q:meta', 'paused', '1')" },
    { "resume", "flags=el", NULL, "redis.call('RENAME', 't:q:wait', 't:r:paused')" },
    { "retry_jobs", "state=failed", NULL, NULL },
    { "retry_jobs", "state=completed", NULL, NULL },
    { "retry_job", "id=f1 state=failed forget=ms", NULL, NULL },
    { "promote_jobs", "", NULL, NULL },
    { "promote_job", "id=late2", NULL, NULL },
    { "clean_jobs", "state=completed", NULL, NULL },
    { "clean_jobs", "state=failed", NULL, NULL },
    { "clean_jobs", "state=wait", NULL, NULL },
    { "clean_jobs", "state=active", NULL, NULL },
    { "clean_jobs", "state=delayed", NULL, NULL },
    { "drain_jobs", "state=wait", NULL, NULL },
    { "drain_jobs", "state=delayed", NULL, NULL },
    { "obliterate_jobs", "limit=1000 force=1", NULL, NULL },
    { "obliterate_rest", "last=1", "meta id de:d1 w1 w1:logs",
        "redis.call('DEL', 't:q:wait', 't:q:paused', 't:q:active', 't:q:delayed', "
        "'t:q:prioritized', 't:q:waiting-children', 't:q:completed', 't:q:failed', "
        "'t:q:repeat'); for _, key in ipairs(redis.call('KEYS', 't:q:*')) do if "
        "(redis.pcall('HGET', key, 'timestamp') or {}) == '1' then redis.call('DEL', key, key "
        ".. "
        "':lock') end end" },
};

static struct test_redis *redis;
static redisContext *user; /* who may do less */
static char *setup, *save, *load, *print_text, *judge, *prelude;
static GString *found; /* what is wrong, a line each */

/* ---- calls ------------------------------------------------------------------------------- */

static const struct ox__script *script_of(const char *name)
{
    for (size_t i = 0; ox__scripts[i]; i++) {
        if (!strcmp(ox__scripts[i]->name, name))
            return ox__scripts[i];
    }
    test_fatal("there is no script %s", name);
}

/* The value of NAME in words of NAME=VALUE, or NULL. */
static char *value_of(const char *words, const char *name)
{
    g_auto(GStrv) all = g_strsplit(words, " ", -1);
    for (size_t i = 0; all[i]; i++) {
        if (g_str_has_prefix(all[i], name) && all[i][strlen(name)] == '=')
            return g_strdup(all[i] + strlen(name) + 1);
    }
    return NULL;
}

static redisReply *send(redisContext *to, const GPtrArray *words)
{
    redisReply *reply =
        redisCommandArgv(to, (int)words->len, (const char **)words->pdata, NULL);
    if (!reply)
        test_fatal("the server is gone: %s", to->errstr);
    return reply;
}

/* Runs the script of a row behind `before`, as `to`. */
static redisReply *call(
    redisContext *to, const char *command, const struct row *row, const char *before)
{
    const struct ox__script *script = script_of(row->script);
    g_autoptr(GPtrArray) words = g_ptr_array_new_with_free_func(g_free);
    g_ptr_array_add(words, g_strdup(command));
    g_ptr_array_add(words, g_strconcat(before, script->source, NULL));
    g_ptr_array_add(words, g_strdup_printf("%zu", script->key_count));
    g_autofree char *own = value_of(row->args, "base");
    g_autofree char *base = own ? g_steal_pointer(&own) : value_of(defaults, "base");
    for (size_t i = 0; i < script->key_count; i++)
        g_ptr_array_add(words, g_strconcat(base, script->keys[i], NULL));
    for (size_t i = 0; i < script->arg_count; i++) {
        char *value = value_of(row->args, script->args[i]);
        if (!value)
            value = value_of(defaults, script->args[i]);
        if (!value)
            test_fatal("%s: its row says no value for %s", row->script, script->args[i]);
        g_ptr_array_add(words, value);
    }
    g_auto(GStrv) rest = g_strsplit(row->rest ? row->rest : "", " ", -1);
    for (size_t i = 0; rest[i]; i++)
        g_ptr_array_add(words, g_strdup(strcmp(rest[i], "-") ? rest[i] : ""));
    return send(to, words);
}

/* What a script of ours answers: text. `words` end with NULL. */
static char *ask(const char *script, const char *const *words)
{
    g_autoptr(GPtrArray) all = g_ptr_array_new();
    g_ptr_array_add(all, (char *)"EVAL");
    g_ptr_array_add(all, (char *)script);
    g_ptr_array_add(all, (char *)"0");
    for (; *words; words++)
        g_ptr_array_add(all, (char *)*words);
    redisReply *reply = send(redis->context, all);
    if (reply->type == REDIS_REPLY_ERROR)
        test_fatal("%s", reply->str);
    char *text = g_strdup(reply->str);
    freeReplyObject(reply);
    return text;
}
#define ASK(script, ...) ask(script, (const char *const[]){ __VA_ARGS__, NULL })

static redisReply *make_state(const struct row *row)
{
    test_redis_do(redis, "FLUSHDB");
    g_autofree char *text =
        g_strjoin("\n", setup, row && row->prepare ? row->prepare : "", NULL);
    g_free(ASK(text, "-"));
    redisReply *state = test_redis_command(redis, "EVAL %s 0", save);
    assert_int_equal(state->type, REDIS_REPLY_ARRAY);
    return state;
}

static void restore(const redisReply *state)
{
    g_autofree const char **words = g_new(const char *, state->elements + 3);
    g_autofree size_t *sizes = g_new(size_t, state->elements + 3);
    const char *const begin[] = { "EVAL", load, "0" };
    for (size_t i = 0; i < 3; i++) {
        words[i] = begin[i];
        sizes[i] = strlen(begin[i]);
    }
    for (size_t i = 0; i < state->elements; i++) {
        words[i + 3] = state->element[i]->str;
        sizes[i + 3] = state->element[i]->len;
    }
    redisReply *reply =
        redisCommandArgv(redis->context, (int)state->elements + 3, words, sizes);
    if (!reply || reply->type == REDIS_REPLY_ERROR)
        test_fatal("restore: %s", reply ? reply->str : "no reply");
    freeReplyObject(reply);
}

/* ---- judging ----------------------------------------------------------------------------- */

static void wrong(const struct row *row, const char *fault, const char *what)
{
    g_string_append_printf(
        found, "%s %s\n  rest %s\n  %s:\n%s\n", row->script, row->args, row->rest, fault, what);
}

/* The lines of `after` that `before` has not, and the other way round. */
static char *differences(const char *before, const char *after)
{
    GString *out = g_string_new(NULL);
    g_auto(GStrv) old = g_strsplit(before, "\n", -1);
    g_auto(GStrv) new = g_strsplit(after, "\n", -1);
    for (size_t i = 0; old[i]; i++) {
        if (!g_strv_contains((const char *const *)new, old[i]))
            g_string_append_printf(out, "    - %s\n", old[i]);
    }
    for (size_t i = 0; new[i]; i++) {
        if (!g_strv_contains((const char *const *)old, new[i]))
            g_string_append_printf(out, "    + %s\n", new[i]);
    }
    return g_string_free(out, FALSE);
}

struct proof {
    const struct row *row;
    redisReply *state;
    char *before; /* all that is there */
    char *judged; /* what is wrong from the start */
    char *ends;   /* the states of jobs when nothing fails */
    GPtrArray *keys, *commands;
};

static void expect_same(const struct proof *p, const char *fault, const char *before)
{
    g_autofree char *after = ASK(print_text, "-");
    if (strcmp(before, after) != 0) {
        g_autofree char *what = differences(before, after);
        wrong(p->row, fault, what);
    }
}

/* Jobs are as they should be, but for that at the key `but`. */
static void expect_sound(const struct proof *p, const char *fault, const char *but)
{
    g_autofree char *judged = ASK(judge, "-", but);
    g_autofree char *what = differences(p->judged, judged);
    if (strstr(what, "    + "))
        wrong(p->row, fault, what);
}

/* The call brings all jobs to where they belong, now that nothing is in its way. */
static void expect_repaired(const struct proof *p, const char *fault, const char *but)
{
    redisReply *reply = call(redis->context, "EVAL", p->row, "");
    if (reply->type == REDIS_REPLY_ERROR)
        wrong(p->row, fault, reply->str);
    freeReplyObject(reply);
    g_autofree char *states = ASK(judge, "states", but);
    if (strcmp(states, p->ends) != 0) {
        g_autofree char *what = differences(p->ends, states);
        if (!strcmp(but, "-") || !strstr(what, but))
            wrong(p->row, fault, what);
    }
}

/* ---- faults ------------------------------------------------------------------------------ */

static void fail_at_every_call(const struct proof *p)
{
    for (int at = 1;; at++) {
        restore(p->state);
        test_redis_do(redis, "SET at %d", at);
        redisReply *reply = call(redis->context, "EVAL", p->row, prelude);
        bool failed = reply->type == REDIS_REPLY_ERROR;
        g_autofree char *command = test_redis_text(redis, "GET fired");
        g_autofree char *fault = g_strdup_printf("call %d, a %s, fails; the script says %s", at,
            command ? command : "", failed ? reply->str : "nothing");
        test_redis_do(redis, "DEL at fired");
        freeReplyObject(reply);
        if (!command)
            return;
        if (failed)
            expect_same(p, fault, p->before);
        expect_sound(p, fault, "-");
        expect_repaired(p, fault, "-");
    }
}

/* Whether `key` is the hash of a job: if it is something else, there is no job. */
static bool is_job(const char *key)
{
    return test_redis_int(redis, "EVAL %s 1 %s",
               "return redis.call('TYPE', KEYS[1]).ok == 'hash' and "
               "redis.call('HEXISTS', KEYS[1], 'timestamp') or 0",
               key) == 1;
}

static void break_a_key(const struct proof *p, const char *key, bool as_list)
{
    restore(p->state);
    g_autofree char *type = test_redis_text(redis, "TYPE %s", key);
    bool there = strcmp(type, "none") != 0;
    if (g_regex_match_simple(as_list ? ":(wait|paused|active|logs|data)$"
                                     : ":(lock|id|pc|limiter|stalled-check|de:[^:]*)$",
            key, 0, 0))
        return;
    /* A lock of another type is none, and so is a hash: a job without its hash is gone, and
     * what it was to its parent with it. An id that is to be a new job's is taken. */
    g_autofree char *word = g_strconcat(key, " ", NULL);
    bool gone = is_job(key) || (!there && strstr(p->ends, word));
    g_autofree char *but = gone ? g_strdup(key)
                           : g_str_has_suffix(key, ":lock")
                               ? g_strndup(key, strlen(key) - strlen(":lock"))
                               : g_strdup("-");
    if (there)
        test_redis_do(redis, "RENAME %s hidden", key);
    test_redis_do(redis, as_list ? "RPUSH %s x" : "SET %s x", key);
    g_autofree char *before = ASK(print_text, "-");
    redisReply *reply = call(redis->context, "EVAL", p->row, "");
    bool failed = reply->type == REDIS_REPLY_ERROR;
    g_autofree char *fault = g_strdup_printf("%s is a %s; the script says %s", key,
        as_list ? "list" : "string", failed ? reply->str : "nothing");
    freeReplyObject(reply);
    if (failed)
        expect_same(p, fault, before);
    test_redis_do(redis, "DEL %s", key);
    if (there)
        test_redis_do(redis, "RENAME hidden %s", key);
    expect_sound(p, fault, but);
    if (!gone)
        expect_repaired(p, fault, but);
}

static void run_as_user(const struct proof *p, const char *fault)
{
    restore(p->state);
    redisReply *reply = call(user, "EVAL", p->row, "");
    bool failed = reply->type == REDIS_REPLY_ERROR;
    g_autofree char *what =
        g_strdup_printf("%s; the script says %s", fault, failed ? reply->str : "nothing");
    freeReplyObject(reply);
    if (failed)
        expect_same(p, what, p->before);
    expect_sound(p, what, "-");
    expect_repaired(p, what, "-");
}

static void set_user(const char *rule, const GPtrArray *keys, const char *but)
{
    g_autoptr(GPtrArray) words = g_ptr_array_new_with_free_func(g_free);
    const char *const begin[] = { "ACL", "SETUSER", "less", "resetkeys", "+@all", rule };
    for (size_t i = 0; i < G_N_ELEMENTS(begin); i++)
        g_ptr_array_add(words, g_strdup(begin[i]));
    for (size_t i = 0; i < keys->len; i++) {
        if (strcmp(keys->pdata[i], but) != 0)
            g_ptr_array_add(words, g_strconcat("~", keys->pdata[i], NULL));
    }
    redisReply *reply = send(redis->context, words);
    if (reply->type == REDIS_REPLY_ERROR)
        test_fatal("ACL: %s", reply->str);
    freeReplyObject(reply);
}

static void deny_a_key(const struct proof *p, const char *key)
{
    g_autofree char *fault = g_strdup_printf("%s is denied", key);
    set_user("+@all", p->keys, key);
    run_as_user(p, fault);
}

static void deny_a_command(const struct proof *p, const char *command)
{
    g_autofree char *fault = g_strdup_printf("%s is denied", command);
    g_autofree char *rule = g_strdup_printf("-%s", command);
    set_user(rule, p->keys, "");
    run_as_user(p, fault);
}

/* ---- the tests --------------------------------------------------------------------------- */

static GPtrArray *members(const char *key)
{
    GPtrArray *all = g_ptr_array_new_with_free_func(g_free);
    redisReply *reply = test_redis_command(redis, "SMEMBERS %s", key);
    for (size_t i = 0; i < reply->elements; i++)
        g_ptr_array_add(all, g_strdup(reply->element[i]->str));
    freeReplyObject(reply);
    test_redis_do(redis, "DEL %s", key);
    return all;
}

static void begin(struct proof *p, const struct row *row)
{
    p->row = row;
    p->state = make_state(row);
    p->before = ASK(print_text, "-");
    p->judged = ASK(judge, "-");
    redisReply *reply = call(redis->context, "EVAL", row, prelude);
    if (reply->type == REDIS_REPLY_ERROR ||
        (reply->type == REDIS_REPLY_INTEGER && reply->integer < 0))
        test_fatal("%s %s: %s", row->script, row->args, reply->str ? reply->str : "refused");
    freeReplyObject(reply);
    p->keys = members("touched");
    p->commands = members("commands");
    p->ends = ASK(judge, "states");
    expect_sound(p, "nothing fails", "-");
}

static void end(struct proof *p)
{
    freeReplyObject(p->state);
    g_free(p->before);
    g_free(p->judged);
    g_free(p->ends);
    g_ptr_array_free(p->keys, TRUE);
    g_ptr_array_free(p->commands, TRUE);
}

static void for_each_row(void (*prove)(const struct proof *p))
{
    const char *only = g_getenv("ATOMIC_ONLY");
    g_string_truncate(found, 0);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        if (only && strcmp(only, rows[i].script) != 0)
            continue;
        struct proof p;
        begin(&p, &rows[i]);
        prove(&p);
        end(&p);
    }
    if (found->len > 0) {
        fputs(found->str, stderr);
        test_fatal("this is wrong");
    }
}

static void a_script_that_fails_at_any_call_changes_nothing(void **state)
{
    (void)state;
    for_each_row(fail_at_every_call);
}

static void break_keys(const struct proof *p)
{
    for (size_t i = 0; i < p->keys->len; i++) {
        break_a_key(p, p->keys->pdata[i], false);
        break_a_key(p, p->keys->pdata[i], true);
    }
}

static void a_key_of_a_wrong_type_harms_no_other_job(void **state)
{
    (void)state;
    for_each_row(break_keys);
}

static void deny_all(const struct proof *p)
{
    for (size_t i = 0; i < p->keys->len; i++)
        deny_a_key(p, p->keys->pdata[i]);
    for (size_t i = 0; i < p->commands->len; i++)
        deny_a_command(p, p->commands->pdata[i]);
}

static void a_denied_key_or_command_harms_no_other_job(void **state)
{
    (void)state;
    redisReply *reply =
        test_redis_command(redis, "EVAL %s 0", "return redis.acl_check_cmd and 1 or 0");
    bool can_tell = reply->type == REDIS_REPLY_INTEGER && reply->integer == 1;
    freeReplyObject(reply);
    if (!can_tell)
        skip();
    for_each_row(deny_all);
}

static void a_script_without_a_row_writes_nothing(void **state)
{
    (void)state;
    redisReply *full = make_state(NULL);
    freeReplyObject(full);
    for (size_t i = 0; ox__scripts[i]; i++) {
        bool has_row = false;
        for (size_t j = 0; j < G_N_ELEMENTS(rows); j++)
            has_row = has_row || !strcmp(rows[j].script, ox__scripts[i]->name);
        if (has_row)
            continue;
        const struct row row = { ox__scripts[i]->name, "", NULL, NULL };
        redisReply *reply = call(redis->context, "EVAL_RO", &row, "");
        if (reply->type == REDIS_REPLY_ERROR)
            test_fatal("%s has no row here: %s", row.script, reply->str);
        freeReplyObject(reply);
    }
}

static char *read_part(const char *name)
{
    g_autofree char *path = g_strconcat("tests/integration/atomic/", name, NULL);
    char *text = test_read(path, NULL);
    if (!text)
        test_fatal("%s is missing", path);
    return text;
}

static int up(void **state)
{
    (void)state;
    redis = test_redis_start(NULL);
    setup = read_part("setup.lua");
    save = read_part("save.lua");
    load = read_part("load.lua");
    print_text = read_part("print.lua");
    judge = read_part("judge.lua");
    prelude = read_part("prelude.lua");
    found = g_string_new(NULL);
    test_redis_do(redis, "ACL SETUSER less on >less +@all");
    user = redisConnectUnix(redis->socket);
    redisReply *reply = redisCommand(user, "AUTH less less");
    assert_int_equal(reply->type, REDIS_REPLY_STATUS);
    freeReplyObject(reply);
    return 0;
}

static int down(void **state)
{
    (void)state;
    redisFree(user);
    test_redis_stop(redis);
    char *const texts[] = { setup, save, load, print_text, judge, prelude };
    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++)
        g_free(texts[i]);
    g_string_free(found, TRUE);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_script_without_a_row_writes_nothing),
        cmocka_unit_test(a_script_that_fails_at_any_call_changes_nothing),
        cmocka_unit_test(a_key_of_a_wrong_type_harms_no_other_job),
        cmocka_unit_test(a_denied_key_or_command_harms_no_other_job),
    };
    return cmocka_run_group_tests(tests, up, down);
}
