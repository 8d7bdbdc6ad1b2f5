/*
 * remove.c - removing jobs, and the children of one with it if asked, and theirs.
 *
 * Many jobs are removed in calls of 200 ids, because each list is scanned once per call.
 *
 * A parent may have a hundred thousand children, so the tree is walked in steps, each a short
 * script call: first to check that all may be removed, then once more to remove them. A child
 * with children of its own is removed after these, so that after a failure the rest can still
 * be reached from the root, and repeating the removal continues.
 */
#include "base/clock.h"
#include "base/error.h"
#include "codes.h"
#include "queue/operations.h"
#include "queue/queue.h"
#include "scripts.h"
#include "wire/script.h"

#include <glib.h>
#include <string.h>

/* How many are sent at once. */
#define BATCH 200

/* The part of a job, for the script, that comes after those of its children. */
#define ITSELF 5

/* A job whose children are being walked through, and how far. */
struct place {
    GBytes *key;
    int64_t part;
    char cursor[24];
};

struct walk {
    const char *id; /* of the root */
    enum { CHECK, REMOVE, END } stage;
    GArray *places;    /* from the root down */
    GHashTable *known; /* keys of jobs with children: a cycle is walked once */
    int64_t met;       /* children */
};

static void free_key(gpointer place)
{
    g_bytes_unref(((struct place *)place)->key);
}

static void walk_done(void *steps)
{
    struct walk *walk = steps;
    g_array_unref(walk->places);
    g_hash_table_unref(walk->known);
}

static void enter(struct walk *walk, const char *key, size_t len)
{
    struct place place = { .key = g_bytes_new(key, len), .part = 1, .cursor = "0" };
    if (g_hash_table_add(walk->known, g_bytes_ref(place.key))) {
        g_array_append_val(walk->places, place);
    } else {
        g_bytes_unref(place.key);
    }
}

static bool is_step(const redisReply *reply)
{
    bool good = reply->type == REDIS_REPLY_ARRAY && reply->elements >= 3 &&
                reply->element[0]->type == REDIS_REPLY_INTEGER &&
                reply->element[1]->type == REDIS_REPLY_STRING &&
                reply->element[1]->len < sizeof(((struct place *)NULL)->cursor) &&
                reply->element[2]->type == REDIS_REPLY_INTEGER;
    for (size_t i = 3; good && i < reply->elements; i++) {
        good = reply->element[i]->type == REDIS_REPLY_STRING;
    }
    return good;
}

static int decode_place(const struct ox__query *query, redisReply **reply, ox_error *err)
{
    struct walk *walk = query->out;
    const redisReply *found = *reply;
    struct place *place = &g_array_index(walk->places, struct place, walk->places->len - 1);
    if (found->type == REDIS_REPLY_INTEGER && found->integer < 0) {
        return ox__query_refusal(query, found->integer, err);
    }
    if (!is_step(found)) {
        return ox__query_misfit(query, err);
    }
    place->part = found->element[0]->integer;
    memcpy(place->cursor, found->element[1]->str, found->element[1]->len + 1);
    walk->met += found->element[2]->integer;
    for (size_t i = 3; i < found->elements; i++) {
        enter(walk, found->element[i]->str, found->element[i]->len);
    }
    return 0;
}

static void enter_root(struct walk *walk, const struct ox__queue_at *at)
{
    g_autofree char *root = g_strconcat(at->base, walk->id, NULL);
    g_hash_table_remove_all(walk->known);
    enter(walk, root, strlen(root));
}

static void encode_place(struct walk *walk, const struct place *place, struct ox__query *query)
{
    gsize len;
    const void *key = g_bytes_get_data(place->key, &len);
    ox__query_script(query, query->at, &ox__script_remove_children);
    query->id = walk->id;
    ox__op_bytes(&query->op, "key", key, len);
    ox__op_int(&query->op, "part", place->part);
    ox__op_text(&query->op, "cursor", place->cursor);
    ox__op_int(&query->op, "remove", walk->stage == REMOVE ? 1 : 0);
    ox__query_into(query, decode_place, walk);
}

/* The next step through what is below the root, which itself stays. 0 at the end. */
static int next_place(struct walk *walk, struct ox__query *query)
{
    while (walk->places->len > 0) {
        guint depth = walk->places->len;
        const struct place *place = &g_array_index(walk->places, struct place, depth - 1);
        if (place->part < ITSELF ||
            (place->part == ITSELF && walk->stage == REMOVE && depth > 1)) {
            encode_place(walk, place, query);
            return 1;
        }
        g_array_set_size(walk->places, depth - 1);
    }
    return 0;
}

/* One is always come to, not always the first: those with a parent go before the others. */
static bool are_results(const redisReply *reply, size_t count)
{
    bool good = reply->type == REDIS_REPLY_ARRAY && reply->elements == count, any = false;
    for (size_t i = 0; good && i < count; i++) {
        good = reply->element[i]->type == REDIS_REPLY_INTEGER &&
               reply->element[i]->integer <= OX__REMOVED_NOT_YET;
        any = any || reply->element[i]->integer < OX__REMOVED_NOT_YET;
    }
    return good && any;
}

static int decode_one(const struct ox__query *query, redisReply **reply, ox_error *err)
{
    if (!are_results(*reply, 1)) {
        return ox__query_misfit(query, err);
    }
    long long result = (*reply)->element[0]->integer;
    return result < 0 ? ox__query_refusal(query, result, err) : (int)result;
}

static int remove_one(
    struct ox__query *query, const struct ox__queue_at *at, const char *id, ox_error *err)
{
    int rc = ox__query_job(query, at, &ox__script_remove_jobs, id, err);
    ox__query_into(query, decode_one, NULL);
    return rc;
}

/* Checks all below the root, removes it, then the root. */
static int next_removal(void *steps, struct ox__query *query, ox_error *err)
{
    struct walk *walk = steps;
    if (next_place(walk, query) > 0) {
        return 1;
    }
    if (walk->stage == CHECK && walk->met > 0) {
        walk->stage = REMOVE;
        enter_root(walk, query->at);
        if (next_place(walk, query) > 0) {
            return 1;
        }
    }
    if (walk->stage == END) {
        return 0;
    }
    walk->stage = END;
    int rc = remove_one(query, query->at, walk->id, err);
    return rc < 0 ? rc : 1;
}

int ox__remove_query(struct ox__query *query, const struct ox__queue_at *at, const char *id,
    bool with_children, ox_error *err)
{
    int rc = ox__queue_id_check(at, id, err);
    if (rc < 0 || !with_children) {
        return rc < 0 ? rc : remove_one(query, at, id, err);
    }
    struct walk *walk = ox__query_steps(query, at, sizeof(*walk), next_removal, walk_done, err);
    if (walk == NULL) {
        return OX_ENOMEM;
    }
    walk->id = id;
    walk->places = g_array_new(FALSE, FALSE, sizeof(struct place));
    g_array_set_clear_func(walk->places, free_key);
    walk->known =
        g_hash_table_new_full(g_bytes_hash, g_bytes_equal, (GDestroyNotify)g_bytes_unref, NULL);
    enter_root(walk, at);
    return 0;
}

/* ---- many jobs --------------------------------------------------------------------------- */

/* The removal of many jobs, from which a call of the script takes those that are not done. */
struct removal {
    const char *const *ids;
    size_t count;
    int *results;
    size_t sent[BATCH]; /* indexes of those in the call in flight */
    size_t sent_count;
    size_t batch;
    int64_t *removed;
};

static int decode_many(const struct ox__query *query, redisReply **reply, ox_error *err)
{
    struct removal *removal = query->out;
    if (!are_results(*reply, removal->sent_count)) {
        return ox__query_misfit(query, err);
    }
    for (size_t i = 0; i < removal->sent_count; i++) {
        long long result = (*reply)->element[i]->integer;
        removal->results[removal->sent[i]] =
            result < 0 ? ox__script_refusal(result, NULL, NULL, NULL) : (int)result;
    }
    return 0;
}

static int next_many(void *steps, struct ox__query *query, ox_error *err)
{
    struct removal *removal = steps;
    (void)err;
    ox__query_script(query, query->at, &ox__script_remove_jobs);
    ox__op_int(&query->op, "now", ox__now_ms());
    removal->sent_count = 0;
    for (size_t i = 0; i < removal->count && removal->sent_count < removal->batch; i++) {
        if (removal->results[i] == OX__REMOVED_NOT_YET) {
            ox__op_id(&query->op, "id", removal->ids[i]);
            removal->sent[removal->sent_count++] = i;
        }
    }
    ox__query_into(query, decode_many, removal);
    *removal->removed = 0;
    for (size_t i = 0; i < removal->count && removal->sent_count == 0; i++) {
        *removal->removed += removal->results[i] > 0;
    }
    return removal->sent_count > 0;
}

/* An error reply is caused by one of them, and nothing was removed: then they are removed one
 * by one. */
static bool goes_on(void *steps, int code)
{
    struct removal *removal = steps;
    if (code == OX_ESERVER && removal->sent_count == 1) {
        removal->results[removal->sent[0]] = code;
    }
    removal->batch = 1;
    return code == OX_ESERVER;
}

int ox__remove_many_query(struct ox__query *query, const struct ox__queue_at *at,
    const char *const *ids, size_t count, int *results, int64_t *removed, ox_error *err)
{
    for (size_t i = 0; i < count; i++) {
        int rc = ids[i] != NULL ? ox__queue_id_check(at, ids[i], NULL) : OX_EINVAL;
        results[i] = rc == OX_ENOTFOUND ? 0 : rc < 0 ? rc : OX__REMOVED_NOT_YET;
    }
    struct removal *removal =
        ox__query_steps(query, at, sizeof(*removal), next_many, NULL, err);
    if (removal == NULL) {
        return OX_ENOMEM;
    }
    query->goes_on = goes_on;
    removal->ids = ids;
    removal->count = count;
    removal->results = results;
    removal->batch = BATCH;
    removal->removed = removed;
    return 0;
}

int64_t ox_queue_remove_many(
    ox_queue *queue, const char *const *ids, size_t count, int *results, ox_error *err)
{
    int64_t removed = 0;
    OX__NEED(queue, err);
    OX__NEED(ids, err);
    OX__NEED(results, err);
    int rc = ox__queue_run(queue,
        ox__remove_many_query(&queue->query, &queue->at, ids, count, results, &removed, err),
        err);
    for (size_t i = 0; i < count && rc < 0; i++) { /* what is known cannot be asked again */
        results[i] = results[i] == OX__REMOVED_NOT_YET ? rc : results[i];
    }
    return rc < 0 ? rc : removed;
}

int ox_queue_remove(ox_queue *queue, const char *id, bool with_children, ox_error *err)
{
    OX__NEED(queue, err);
    OX__NEED(id, err);
    int rc = ox__remove_query(&queue->query, &queue->at, id, with_children, err);
    return rc == OX_ENOTFOUND ? 0 : ox__queue_run(queue, rc, err);
}
