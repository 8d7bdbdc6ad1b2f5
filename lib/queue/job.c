/*
 * job.c - jobs as they were read, and the names of states and fields.
 *
 * A job is one allocation: the struct, then the texts of its fields one behind the other. (A
 * worker reads large ones by themselves, see engine/fetch.h.)
 * Fields that the library does not know are not kept; other programs' jobs may have them.
 */
#include "queue/job.h"

#include "base/clock.h"
#include "base/error.h"
#include "queue/options.h"
#include "wire/reply.h"

#include <glib.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define PLAIN_DIGITS 15 /* so many fit in all that numbers go through: int64_t, double, Lua */

static const char *const state_names[] = {
#define ROW(name, text) text,
    OX_STATES(ROW)
#undef ROW
};

static const char *const field_names[] = {
#define ROW(name, text) text,
    OX_FIELDS(ROW)
#undef ROW
};

const char *ox_state_name(int state)
{
    return state >= 0 && state < OX_STATE_COUNT ? state_names[state] : "unknown";
}

int ox_state_parse(const char *name)
{
    if (name == NULL) {
        return OX_EINVAL;
    }
    if (strcmp(name, "wait") == 0) {
        return OX_WAITING;
    }
    for (int i = 0; i < OX_UNKNOWN; i++) {
        if (strcmp(state_names[i], name) == 0) {
            return i;
        }
    }
    return OX_EINVAL;
}

const char *ox__field_name(enum ox_field field)
{
    return field_names[field];
}

static void place(struct ox__field *to, const struct ox__field *from, char **at)
{
    if (from->text != NULL) {
        memcpy(*at, from->text, from->len);
        (*at)[from->len] = '\0';
        to->text = *at;
        to->len = from->len;
        *at += from->len + 1;
    }
}

/* Writes an id with C0 80 for each NUL (most ids have none). Returns the end of what it wrote.
 */
static char *write_id_text(ox_job *job, char *at)
{
    job->id_text = job->id.text;
    if (memchr(job->id.text, '\0', job->id.len) == NULL) {
        return at;
    }
    job->id_text = at;
    for (size_t i = 0; i < job->id.len; i++) {
        if (job->id.text[i] == '\0') {
            *at++ = '\xc0';
        }
        *at++ = job->id.text[i] == '\0' ? '\x80' : job->id.text[i];
    }
    *at++ = '\0';
    return at;
}

ox_job *ox__job_new(const struct ox__field *id, const struct ox__field field[OX_FIELD_COUNT])
{
    bool has_nul = memchr(id->text, '\0', id->len) != NULL;
    size_t size = sizeof(ox_job) + (id->len + 1) + (has_nul ? 2 * id->len + 1 : 0);
    for (size_t i = 0; i < OX_FIELD_COUNT; i++) {
        size += field[i].text != NULL ? field[i].len + 1 : 0;
    }
    ox_job *job = malloc(size);
    if (job == NULL) {
        return NULL;
    }
    memset(job, 0, sizeof(*job));
    char *at = (char *)(job + 1);
    place(&job->id, id, &at);
    at = write_id_text(job, at);
    for (size_t i = 0; i < OX_FIELD_COUNT; i++) {
        place(&job->field[i], &field[i], &at);
    }
    return job;
}

struct ox__field ox__field_of(const redisReply *reply)
{
    struct ox__field field = { NULL, 0 };
    if (reply->type == REDIS_REPLY_STRING || reply->type == REDIS_REPLY_STATUS) {
        field.text = reply->str;
        field.len = reply->len;
    }
    return field;
}

static void keep_known(
    struct ox__field field[OX_FIELD_COUNT], const redisReply *name, const redisReply *value)
{
    for (size_t i = 0; i < OX_FIELD_COUNT; i++) {
        if (name->str != NULL && strcmp(name->str, field_names[i]) == 0) {
            field[i] = ox__field_of(value);
        }
    }
}

int ox__job_from_hash(
    ox_job **out, const char *id, size_t id_len, const redisReply *hash, ox_error *err)
{
    struct ox__field field[OX_FIELD_COUNT] = { { NULL, 0 } };
    const struct ox__field name = { id, id_len };
    if (hash->type != REDIS_REPLY_ARRAY || hash->elements % 2 != 0) {
        return ox__fail(err, OX_EREPLY, "job %s: unexpected reply type", id);
    }
    if (hash->elements == 0) {
        return ox__fail(err, OX_ENOTFOUND, "job %s does not exist", id);
    }
    for (size_t i = 0; i < hash->elements; i += 2) {
        keep_known(field, hash->element[i], hash->element[i + 1]);
    }
    *out = ox__job_new(&name, field);
    return *out == NULL ? ox__fail_memory(err) : 0;
}

/* A score is the due time in ms times 4096, plus the place among those of one ms. */
void ox__job_set_due(ox_job *job, const redisReply *score)
{
    struct ox__field text = ox__field_of(score);
    double value = text.text != NULL ? g_ascii_strtod(text.text, NULL) : 0;
    value /= 4096;
    job->due_ms = value > 0 && value < 9.2e18 ? ox__bounded((int64_t)value) : 0;
}

int64_t ox_job_due_ms(const ox_job *job)
{
    if (job == NULL) {
        return 0;
    }
    return job->due_ms;
}

void ox_job_free(ox_job *job)
{
    if (job != NULL) {
        ox__free_reply(&job->large);
        free(job);
    }
}

const char *ox_job_id(const ox_job *job)
{
    if (job == NULL) {
        return NULL;
    }
    return job->id_text;
}

const char *ox_job_text(const ox_job *job, enum ox_field field)
{
    if (job == NULL) {
        return NULL;
    }
    return field < OX_FIELD_COUNT ? job->field[field].text : NULL;
}

size_t ox_job_length(const ox_job *job, enum ox_field field)
{
    if (job == NULL) {
        return 0;
    }
    return field < OX_FIELD_COUNT ? job->field[field].len : 0;
}

/* Nearly all numbers that are stored are such, and strtod() takes ten times as long. */
static bool read_digits(const char *text, int64_t *value)
{
    int count = 0;
    for (*value = 0; count < PLAIN_DIGITS && g_ascii_isdigit(text[count]); count++) {
        *value = *value * 10 + (text[count] - '0');
    }
    return count > 0 && text[count] == '\0';
}

int64_t ox_job_number(const ox_job *job, enum ox_field field, int64_t missing)
{
    const char *text = ox_job_text(job, field);
    char *end = NULL;
    int64_t plain;
    if (text != NULL && read_digits(text, &plain)) {
        return plain;
    }
    double value = text != NULL ? g_ascii_strtod(text, &end) : 0;
    if (text == NULL || end == text || *end != '\0' || !(fabs(value) < 9.2e18)) {
        return missing;
    }
    return ox__bounded((int64_t)value);
}

uint32_t ox_job_attempts(const ox_job *job)
{
    if (job == NULL) {
        return 1;
    }
    const struct ox__field *opts = &job->field[OX_JOB_OPTS];
    struct ox__options options;
    uint32_t attempts = 0;
    if (opts->text != NULL && ox__options_stored(&options, opts->text, opts->len, NULL) == 0) {
        attempts = options.set.attempts;
        ox__options_done(&options);
    }
    return attempts > 0 ? attempts : 1;
}
