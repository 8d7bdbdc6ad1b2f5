/* add_large.c - adds a plain job with large data; see add_large.h. */
#include "queue/add_large.h"

#include "base/clock.h"
#include "base/error.h"
#include "scripts.h"
#include "wire/reply.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/random.h>

/* Below that the transaction and the script's source cost more than the copies of the data. */
#define LARGE_ADD (48u * 1024)
/* No id has a colon in front. */
#define APART ":data:%016" PRIx64
#define APART_MAX 24

bool ox__add_is_large(const struct ox__job_in *in)
{
    return in->data_len >= LARGE_ADD && ox__job_in_plain(in);
}

/* Where a user may not call MULTI, the commands run one by one, those of others in between. */
static void name_apart(char name[APART_MAX])
{
    uint64_t random = 0;
    if (getrandom(&random, sizeof(random), 0) != (ssize_t)sizeof(random)) {
        random = (uint64_t)ox__now_ms() ^ (uintptr_t)name;
    }
    snprintf(name, APART_MAX, APART, random);
}

void ox__add_large(
    struct ox__query *query, const struct ox__queue_at *at, const struct ox__job_in *in)
{
    OX__AUTO(ox__op_done) struct ox__op part = { .argc = 0 };
    struct ox__op *all = &query->op;
    char apart[APART_MAX];
    name_apart(apart);
    ox__query_script(query, at, &ox__script_add_plain);
    ox__op_transaction(all);
    ox__op_command(&part, "HSET");
    ox__op_key(&part, at->base, apart);
    ox__op_text(&part, "field", "data");
    ox__op_bytes(&part, "value", in->data, in->data_len);
    int rc = ox__op_add(all, &part, false, NULL);
    ox__op_at(&part, &ox__script_add_plain, at);
    ox__op_text(&part, "name", in->name);
    ox__op_bytes(&part, "opts", in->opts.data, in->opts.len);
    ox__op_int(&part, "timestamp", ox__now_ms());
    ox__op_text(&part, "data", "");
    ox__op_text(&part, "apart", apart);
    rc = rc < 0 ? rc : ox__op_add(all, &part, true, NULL);
    ox__op_command(&part, "DEL");
    ox__op_key(&part, at->base, apart);
    rc = rc < 0 ? rc : ox__op_add(all, &part, false, NULL);
    ox__op_exec(all);
    all->bytes.failed = all->bytes.failed || rc < 0;
}

int ox__add_large_reply(const struct ox__query *query, const redisReply **reply, ox_error *err)
{
    if ((*reply)->type != REDIS_REPLY_ARRAY || (*reply)->elements != 3) {
        return ox__query_misfit(query, err);
    }
    ox_error problem;
    *reply = (*reply)->element[1];
    return ox__reply_check(*reply, &problem) < 0 ? ox__query_failure(query, &problem, err) : 0;
}
