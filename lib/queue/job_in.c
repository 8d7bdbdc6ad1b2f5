/*
 * job_in.c - a job that is to be added: checked, and encoded for the scripts, before anything
 * is sent.
 */
#include "queue/job_in.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/json.h"
#include "codes.h"

#include <string.h>

_Static_assert(
    OX_DUPLICATED == OX__ADDED_DUPLICATE && OX_DEDUPLICATED == OX__ADDED_DEDUPLICATED,
    "the scripts answer with an enum ox_added");

static void write_parent(struct ox__job_in *in)
{
    static const char *const flags[] = { NULL, "fpof", "cpof", "idof", "rdof" };
    const ox_job_options *o = &in->options.set;
    if (o->parent.id == NULL) {
        return;
    }
    ox__buf_text(&in->parent_key, o->parent.queue);
    ox__buf_char(&in->parent_key, ':');
    ox__buf_text(&in->parent_key, o->parent.id);
    ox__buf_text(&in->parent, "{\"id\":");
    ox__json_string(&in->parent, o->parent.id, strlen(o->parent.id));
    ox__buf_text(&in->parent, ",\"queueKey\":");
    ox__json_string(&in->parent, o->parent.queue, strlen(o->parent.queue));
    if (o->on_failure != OX_CHILD_WAIT) {
        ox__buf_text(&in->parent, ",\"");
        ox__buf_text(&in->parent, flags[o->on_failure]);
        ox__buf_text(&in->parent, "\":true");
    }
    ox__buf_char(&in->parent, '}');
}

int ox__job_in_init(struct ox__job_in *in, const ox_new_job *job, ox_error *err)
{
    memset(in, 0, sizeof(*in));
    in->name = job->name;
    in->data = job->json != NULL ? job->json : "{}";
    int rc = OX__RESERVED(ox_new_job, job, err);
    if (rc < 0) {
        return rc;
    }
    if (job->name == NULL) {
        return ox__fail(err, OX_EINVAL, "job name is missing");
    }
    if (!ox__utf8_valid(job->name)) {
        return ox__fail(err, OX_EINVAL, "job name is not valid UTF-8: %.80s", job->name);
    }
    rc = ox__json_check(in->data, "job data", err);
    if (rc == 0) {
        rc = ox__options_merge(&in->options, job->options, err);
    }
    if (rc < 0) {
        return rc;
    }
    size_t limit = in->options.set.size_limit;
    in->data_len = strlen(in->data);
    if (limit > 0 && in->data_len > limit) {
        rc = ox__fail(err, OX_EINVAL, "the job data has %zu bytes, more than the limit of %zu",
            in->data_len, limit);
    } else {
        ox__options_write(&in->opts, &in->options);
        write_parent(in);
        rc = in->opts.failed || in->parent.failed || in->parent_key.failed
                 ? ox__fail_memory(err)
                 : 0;
    }
    if (rc < 0) {
        ox__job_in_done(in);
    }
    return rc;
}

void ox__job_in_done(struct ox__job_in *in)
{
    ox__options_done(&in->options);
    ox__buf_done(&in->opts);
    ox__buf_done(&in->parent);
    ox__buf_done(&in->parent_key);
}

bool ox__job_in_plain(const struct ox__job_in *in)
{
    const ox_job_options *o = &in->options.set;
    return o->id == NULL && o->delay_ms == 0 && o->priority == 0 && o->dedup.id == NULL &&
           o->parent.id == NULL && o->timestamp_ms == 0 && !o->lifo;
}

void ox__job_in_put(
    struct ox__op *op, const struct ox__job_in *in, const char *kind, const char *id)
{
    const ox_job_options *o = &in->options.set;
    char letters[8] = "", modes[8] = "";
    size_t n = 0, m = 0;
    for (; *kind != '\0' && n < 4; kind++) {
        letters[n++] = *kind;
    }
    if (o->lifo) {
        letters[n++] = OX__ADD_LIFO;
    }
    if (o->dedup.id != NULL) {
        letters[n++] = OX__ADD_DEDUP;
    }
    if (o->parent.id != NULL) {
        letters[n++] = OX__ADD_PARENT;
    }
    id = id != NULL ? id : o->id;
    ox__op_bytes(op, "kind", letters, n);
    ox__op_text(op, "job_id", id != NULL ? id : "");
    ox__op_text(op, "name", in->name);
    ox__op_bytes(op, "data", in->data, in->data_len);
    ox__op_bytes(op, "opts", in->opts.data, in->opts.len);
    ox__op_int(op, "timestamp", o->timestamp_ms > 0 ? o->timestamp_ms : ox__now_ms());
    ox__op_int(op, "delay", o->delay_ms);
    ox__op_int(op, "priority", o->priority);
    if (o->dedup.id != NULL) {
        const struct {
            bool set;
            char letter;
        } rows[] = { { o->dedup.extend, OX__DEDUP_EXTEND },
            { o->dedup.replace, OX__DEDUP_REPLACE },
            { o->dedup.reschedule, OX__DEDUP_RESCHEDULE },
            { o->dedup.keep_last_if_active, OX__DEDUP_KEEP_LAST } };
        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
            if (rows[i].set) {
                modes[m++] = rows[i].letter;
            }
        }
        ox__op_text(op, "de_id", o->dedup.id);
        ox__op_int(op, "de_ttl", o->dedup.ttl_ms);
        ox__op_bytes(op, "de_modes", modes, m);
    }
    if (o->parent.id != NULL) {
        ox__op_bytes(op, "parent_key", in->parent_key.data, in->parent_key.len);
        ox__op_bytes(op, "parent", in->parent.data, in->parent.len);
    }
}

int ox__job_in_answer(
    const redisReply *reply, const char *queue, const char *job, const char **id, ox_error *err)
{
    *id = NULL;
    if (reply->type == REDIS_REPLY_STRING) {
        *id = reply->str;
        return OX_ADDED;
    }
    if (reply->type == REDIS_REPLY_INTEGER || reply->type == REDIS_REPLY_ERROR) {
        return ox__script_refused(reply, queue, job, err);
    }
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 ||
        reply->element[0]->type != REDIS_REPLY_STRING ||
        reply->element[1]->type != REDIS_REPLY_INTEGER ||
        (reply->element[1]->integer != OX_DUPLICATED &&
            reply->element[1]->integer != OX_DEDUPLICATED)) {
        return ox__script_refusal(0, queue, job, err);
    }
    *id = reply->element[0]->str;
    return (int)reply->element[1]->integer;
}
