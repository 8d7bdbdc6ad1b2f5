/* script.c - what the refusals of the scripts mean. */
#include "wire/script.h"

#include "base/error.h"
#include "wire/reply.h"

static const struct {
    long long number;
    int code;
    const char *text;
} refusals[] = {
    { -1, OX_ENOTFOUND, "there is no such job" },
    { -2, OX_ELOCK, "the job's lock is gone" },
    { -3, OX_ESTATE, "the job is not in a state that allows this" },
    { -4, OX_ECHILDREN, "the job has unfinished children" },
    { -5, OX_EPARENT, "the parent job is missing" },
    { -6, OX_ELOCK, "the job's lock is held by another worker" },
    { -7, OX_EPARENTTAKEN, "the job belongs to another parent" },
    { -8, OX_ESCHEDULED, "the job is its scheduler's next one; remove the scheduler instead" },
    { -9, OX_EFAILEDCHILD, "the job has failed children" },
    { -10, OX_ESLOT, "the scheduler's next time is taken by another job" },
    { -11, OX_ESLOT, "the scheduler's next times are all taken by other jobs" },
    { -12, OX_EACTIVE, "jobs are active" },
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
