/* script.c - the errors that scripts' refusals mean. */
#include "wire/script.h"

#include "base/error.h"
#include "codes.h"
#include "wire/reply.h"

static const struct {
    long long number;
    int code;
    const char *text;
} refusals[] = {
    { OX__NO_JOB, OX_ENOTFOUND, "the job does not exist" },
    { OX__NO_LOCK, OX_ELOCK, "the job's lock is gone" },
    { OX__WRONG_STATE, OX_ESTATE, "the job is not in a state that allows this" },
    { OX__PENDING_CHILDREN, OX_ECHILDREN, "the job has unfinished children" },
    { OX__NO_PARENT, OX_EPARENT, "the parent job is missing" },
    { OX__OTHER_LOCK, OX_ELOCK, "the job's lock is held by another worker" },
    { OX__OTHER_PARENT, OX_EPARENTTAKEN, "the job belongs to another parent" },
    { OX__CURRENT_ITERATION, OX_ESCHEDULED,
        "the job is its scheduler's next one; remove the scheduler instead" },
    { OX__FAILED_CHILDREN, OX_EFAILEDCHILD, "the job has failed children" },
    { OX__TIME_TAKEN, OX_ESLOT, "the scheduler's next time is taken by another job" },
    { OX__TIMES_TAKEN, OX_ESLOT, "the scheduler's next times are all taken by other jobs" },
    { OX__CANCELLED, OX_ECANCELLED, "the job was cancelled" },
    { OX__JOBS_ACTIVE, OX_EACTIVE, "jobs are active" },
    { OX__OTHER_LAYOUT, OX_EDATA, "its layout is of another version of Ox" },
    { OX__NO_STREAM, OX_ENOTFOUND, "it does not exist" },
    { OX__GROUP_ACTIVE, OX_EACTIVE,
        "a group of it has members, or had some within the last minute: stop these, or use "
        "force" },
    { OX__BEYOND_END, OX_EINVAL, "the position is after its newest event" },
    { OX__NO_GROUP, OX_ENOTFOUND, "it has no such group" },
    { OX__NO_BOUND, OX_EINVAL,
        "what groups have not read can be kept only up to a size, so keep_bytes must not be "
        "0" },
    { OX__OTHER_SLOT, OX_EINVAL,
        "the queue is in another slot of the Redis Cluster; a prefix with a hash tag, such as "
        "{bull}, has all in one" },
};

int ox__script_refusal(long long number, const char *queue, const char *id, ox_error *err)
{
    int code = OX_EREPLY;
    const char *text = "a script answered with an unknown number";
    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        if (refusals[i].number == number) {
            code = refusals[i].code;
            text = refusals[i].text;
        }
    }
    if (queue == NULL) {
        return ox__fail(err, code, "%s", text);
    }
    return id == NULL ? ox__fail(err, code, "queue %.80s: %s", queue, text)
                      : ox__fail(err, code, "queue %.80s, job %.80s: %s", queue, id, text);
}

int ox__script_refused(
    const redisReply *refusal, const char *queue, const char *id, ox_error *err)
{
    ox_error problem;
    int code = ox__reply_check(refusal, &problem);
    if (code == 0) {
        return ox__script_refusal(refusal->integer, queue, id, err);
    }
    return id == NULL
               ? ox__fail(err, code, "queue %.80s: %s", queue, problem.text)
               : ox__fail(err, code, "queue %.80s, job %.80s: %s", queue, id, problem.text);
}
