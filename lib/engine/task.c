/* task.c - the memory of tasks, and what the program may ask of one; see task.h. */
#include "engine/task.h"

#include "base/error.h"
#include "codes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- options ----------------------------------------------------------------------------- */

static void drop_options(struct ox__run_options *run)
{
    if (run != NULL && --run->refs == 0) {
        ox__options_done(&run->options);
        free(run);
    }
}

/* The options of a job, shared, to be dropped; read anew only when the text differs from the
 * last job's. NULL when memory is out. */
static struct ox__run_options *get_options(
    struct ox__task_pool *pool, const struct ox__field *opts)
{
    struct ox__run_options *last = pool->last;
    const char *text = opts->text != NULL ? opts->text : "{}";
    size_t len = opts->text != NULL ? opts->len : 2;
    if (last == NULL || last->len != len || memcmp(last->text, text, len) != 0) {
        struct ox__run_options *run = calloc(1, sizeof(*run) + len + 1);
        if (run == NULL) {
            return NULL;
        }
        run->refs = 1;
        run->len = len;
        memcpy(run->text, text, len);
        int rc = ox__options_stored(&run->options, text, len, NULL);
        if (rc == OX_ENOMEM) {
            free(run);
            return NULL;
        }
        run->readable = rc == 0;
        drop_options(last);
        pool->last = run;
    }
    pool->last->refs++;
    return pool->last;
}

/* ---- tasks ------------------------------------------------------------------------------- */

static struct ox_task *get_memory(struct ox__task_pool *pool)
{
    struct ox__run *spare = pool->spare;
    if (spare == NULL) {
        return calloc(1, sizeof(struct ox_task));
    }
    struct ox_task *task = ox__task_of(spare);
    pool->spare = spare->next;
    memset(task, 0, sizeof(*task));
    return task;
}

void ox__task_set_job(struct ox_task *task, ox_job *job)
{
    ox_job_free(task->job);
    task->job = job;
    task->run.id = job->id;
    task->run.id_text = ox_job_id(job);
}

struct ox_task *ox__task_new(struct ox__task_pool *pool, ox_worker *worker,
    const struct ox__field *id, const struct ox__field field[OX_FIELD_COUNT])
{
    static const struct ox__field none[OX_FIELD_COUNT];
    struct ox_task *task = get_memory(pool);
    if (task == NULL) {
        return NULL;
    }
    ox_job *job = ox__job_new(id, field != NULL ? field : none);
    task->worker = worker;
    if (job != NULL) {
        ox__task_set_job(task, job);
        task->stored = field != NULL ? get_options(pool, &field[OX_JOB_OPTS]) : NULL;
    }
    if (job == NULL || (field != NULL && task->stored == NULL)) {
        ox__task_free(pool, task);
        return NULL;
    }
    return task;
}

static bool is_large(const struct ox__field *field)
{
    return field->len > OX__LARGE_BYTES;
}

bool ox__task_fill(struct ox__task_pool *pool, struct ox_task *task,
    const struct ox__field field[OX_FIELD_COUNT], redisReply **kept)
{
    struct ox__field small[OX_FIELD_COUNT];
    memcpy(small, field, sizeof(small));
    for (size_t i = 0; kept != NULL && i < OX_FIELD_COUNT; i++) {
        small[i] = is_large(&field[i]) ? (struct ox__field){ NULL, 0 } : field[i];
    }
    ox_job *job = ox__job_new(&task->run.id, small);
    task->stored = job != NULL ? get_options(pool, &field[OX_JOB_OPTS]) : NULL;
    if (task->stored == NULL) {
        ox_job_free(job);
        return false;
    }
    for (size_t i = 0; kept != NULL && i < OX_FIELD_COUNT; i++) {
        job->field[i] = is_large(&field[i]) ? field[i] : job->field[i];
    }
    job->large = kept != NULL ? OX__STEAL(*kept) : NULL;
    ox__task_set_job(task, job);
    return true;
}

void ox__task_free(struct ox__task_pool *pool, struct ox_task *task)
{
    drop_options(task->stored);
    ox_job_free(task->job);
    free(task->end.reason);
    ox__buf_done(&task->run.end.kept);
    task->run.next = pool->spare;
    pool->spare = &task->run;
}

void ox__task_pool_done(struct ox__task_pool *pool)
{
    while (pool->spare != NULL) {
        struct ox__run *next = pool->spare->next;
        free(ox__task_of(pool->spare));
        pool->spare = next;
    }
    drop_options(pool->last);
}

void ox__task_token(char token[OX__TASK_TOKEN_MAX], const struct ox_task *task)
{
    const struct ox__run *run = &task->run;
    if (!run->lock.open) {
        memcpy(token, run->token, sizeof(run->token));
        return;
    }
    snprintf(token, OX__TASK_TOKEN_MAX, "@%d:%lld:%lld:%u:%s",
        !task->late   ? 0
        : task->again ? 2
                      : 1,
        (long long)task->started_ms, (long long)run->lock.until_ms, ox_task_attempt(task),
        run->token);
}

/* ---- what the program may ask ------------------------------------------------------------ */

const ox_job *ox_task_job(const ox_task *task)
{
    if (task == NULL) {
        return NULL;
    }
    return task->job;
}

/* What others stored may be no sensible number. */
uint32_t ox_task_attempt(const ox_task *task)
{
    if (task == NULL) {
        return 0;
    }
    int64_t made = ox_job_number(task->job, OX_JOB_ATTEMPTS_MADE, 0);
    return made < 0 ? 1 : made >= UINT32_MAX ? UINT32_MAX : (uint32_t)made + 1;
}

int64_t ox_task_timeout_ms(const ox_task *task)
{
    return task != NULL ? task->stored->options.set.timeout_ms : 0;
}

ox_worker *ox_task_worker(const ox_task *task)
{
    if (task == NULL) {
        return NULL;
    }
    return task->worker;
}

bool ox_task_cancelled(const ox_task *task)
{
    return task != NULL && task->run.lock.verdict == OX__CANCELLED;
}

void ox_task_set_data(ox_task *task, void *data)
{
    if (task == NULL) {
        return;
    }
    task->data = data;
}

void *ox_task_data(const ox_task *task)
{
    if (task == NULL) {
        return NULL;
    }
    return task->data;
}
