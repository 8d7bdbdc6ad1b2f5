/* job.h - a job as it was read, in one piece of memory. */
#ifndef OX_LIB_JOB_H
#define OX_LIB_JOB_H

#include <hiredis/hiredis.h>
#include <ox.h>

/* How the token of a lock begins when its worker is one of this library; a BullMQ worker's is a
 * UUID and a number. */
#define OX__TOKEN_PREFIX "ox:"

/* How the reason of a job that was cancelled begins; claim_runs.lua knows it as well. */
#define OX__CANCEL_TEXT "cancelled"

struct ox__field {
    const char *text; /* ended by NUL; NULL: the job has none */
    size_t len;
};

/* Text and struct are one allocation, but for large fields, which stay in the reply that they
 * came with; everything borrowed from it lives as long as it. */
struct ox_job {
    struct ox__field id;
    const char *id_text; /* the id, with C0 80 for each NUL */
    struct ox__field field[OX_FIELD_COUNT];
    int64_t due_ms;    /* of a delayed job that was read; else 0 */
    redisReply *large; /* or NULL */
};

/* Makes a job of fields that are copied. NULL when out of memory. */
ox_job *ox__job_new(const struct ox__field *id, const struct ox__field field[OX_FIELD_COUNT]);
/* The name of a field in a hash. */
const char *ox__field_name(enum ox_field field);
/* Makes a job of an HGETALL reply  (names and values in turn). OX_ENOTFOUND when it is empty.
 */
int ox__job_from_hash(
    ox_job **out, const char *id, size_t id_len, const redisReply *hash, ox_error *err);
/* Sets when it is due, from a reply with its score in the zset `delayed`, or nil. */
void ox__job_set_due(ox_job *job, const redisReply *score);
/* The text of a reply, {NULL, 0} when it is nil. */
struct ox__field ox__field_of(const redisReply *reply);

#endif /* OX_LIB_JOB_H */
