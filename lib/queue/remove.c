/*
 * remove.c - removing a job, and its children with it if asked, and theirs.
 *
 * A parent may have a hundred thousand children, so the way through them is made in steps, each
 * a script call that a server hardly feels: once to see whether all may go, then once more to
 * remove them. What has children itself is walked through before it goes, so that whatever is
 * left after a failure can still be found from the root, and removing that again goes on.
 */
#include "base/clock.h"
#include "base/error.h"
#include "queue/queue.h"
#include "scripts.h"

#include <glib.h>
#include <string.h>

/* The part of a job, for the script, that comes after those of its children. */
#define ITSELF 5

/* A job whose children are being walked through, and how far. */
struct place {
    GBytes *key;
    int64_t part;
    char cursor[24];
};

struct walk {
    ox_queue *queue;
    const char *id; /* of the root */
    bool remove;
    GArray *places;    /* from the root down */
    GHashTable *known; /* keys of jobs with children: a circle of them is walked once */
    int64_t met;       /* children */
};

static void free_key(gpointer place)
{
    g_bytes_unref(((struct place *)place)->key);
}

static void walk_init(struct walk *walk)
{
    walk->places = g_array_new(FALSE, FALSE, sizeof(struct place));
    g_array_set_clear_func(walk->places, free_key);
    walk->known =
        g_hash_table_new_full(g_bytes_hash, g_bytes_equal, (GDestroyNotify)g_bytes_unref, NULL);
    walk->met = 0;
}

static void walk_done(struct walk *walk)
{
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

static int make_step(struct walk *walk, struct place *place, ox_error *err)
{
    OX__AUTO(ox__free_reply) redisReply *reply = NULL;
    gsize len;
    const void *key = g_bytes_get_data(place->key, &len);
    struct ox__op *op = ox__queue_op(walk->queue, &ox__script_remove_children);
    ox__op_int(op, "now", ox__now_ms());
    ox__op_bytes(op, "key", key, len);
    ox__op_int(op, "part", place->part);
    ox__op_text(op, "cursor", place->cursor);
    ox__op_int(op, "remove", walk->remove ? 1 : 0);
    int rc = ox__queue_call(walk->queue, walk->id, &reply, err);
    if (rc < 0) {
        return rc;
    }
    if (reply->type == REDIS_REPLY_INTEGER && reply->integer < 0) {
        return ox__script_refusal(reply->integer, walk->queue->at.name, walk->id, err);
    }
    if (!is_step(reply)) {
        return ox__queue_odd(walk->queue, walk->id, "remove_children", err);
    }
    place->part = reply->element[0]->integer;
    memcpy(place->cursor, reply->element[1]->str, reply->element[1]->len + 1);
    walk->met += reply->element[2]->integer;
    for (size_t i = 3; i < reply->elements; i++) {
        enter(walk, reply->element[i]->str, reply->element[i]->len);
    }
    return 0;
}

/* All below the root; that itself stays. Returns how many children it met. */
static int64_t walk_all(ox_queue *queue, const char *id, bool remove, ox_error *err)
{
    struct walk walk = { .queue = queue, .id = id, .remove = remove };
    g_autofree char *root = g_strconcat(queue->at.base, id, NULL);
    int rc = 0;
    walk_init(&walk);
    enter(&walk, root, strlen(root));
    while (rc == 0 && walk.places->len > 0) {
        guint depth = walk.places->len;
        struct place *place = &g_array_index(walk.places, struct place, depth - 1);
        if (place->part > ITSELF || (place->part == ITSELF && (!remove || depth == 1))) {
            g_array_set_size(walk.places, depth - 1);
        } else {
            rc = make_step(&walk, place, err);
        }
    }
    walk_done(&walk);
    return rc < 0 ? rc : walk.met;
}

int ox_queue_remove(ox_queue *queue, const char *id, bool with_children, ox_error *err)
{
    OX__NEED(queue, err);
    OX__NEED(id, err);
    int64_t removed = 0;
    int64_t rc = ox__queue_id_check(queue, id, err);
    if (rc < 0) {
        return rc == OX_ENOTFOUND ? 0 : (int)rc;
    }
    if (with_children) {
        rc = walk_all(queue, id, false, err);
        rc = rc > 0 ? walk_all(queue, id, true, err) : rc;
    }
    if (rc >= 0) {
        rc = ox__queue_job_op(queue, &ox__script_remove_job, id, err);
    }
    if (rc >= 0) {
        rc = ox__queue_number(queue, id, &removed, err);
    }
    return rc < 0 ? (int)rc : removed > 0 ? 1 : 0;
}
