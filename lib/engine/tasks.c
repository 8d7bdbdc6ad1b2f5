/*
 * tasks.c - the memory of a worker's tasks: lists, tasks to use again, options read once.
 *
 * Jobs of a queue mostly have the same options, letter by letter, so the text that was read
 * last is kept with what it said, and shared by the tasks that have it.
 */
#include "engine/worker.h"

#include <stdlib.h>
#include <string.h>

void ox__task_list_push(struct ox__task_list *list, struct ox_task *task)
{
    task->next = NULL;
    task->prev = list->tail;
    if (list->tail != NULL) {
        list->tail->next = task;
    } else {
        list->head = task;
    }
    list->tail = task;
    list->count++;
}

void ox__task_list_remove(struct ox__task_list *list, struct ox_task *task)
{
    if (task->prev != NULL) {
        task->prev->next = task->next;
    } else {
        list->head = task->next;
    }
    if (task->next != NULL) {
        task->next->prev = task->prev;
    } else {
        list->tail = task->prev;
    }
    task->next = task->prev = NULL;
    list->count--;
}

void ox__run_options_drop(struct ox__run_options *run)
{
    if (run != NULL && --run->refs == 0) {
        ox__options_done(&run->options);
        free(run);
    }
}

/* The options of a job; read anew only when the text differs from the last job's. */
struct ox__run_options *ox__run_options_get(ox_worker *worker, const struct ox__field *opts)
{
    struct ox__run_options *last = worker->last_run;
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
        ox__run_options_drop(last);
        worker->last_run = run;
    }
    worker->last_run->refs++;
    return worker->last_run;
}

struct ox__run ox__task_run(const struct ox_task *task)
{
    return (struct ox__run){ .id = &task->job->id,
        .token = task->token,
        .starts = task->starts,
        .started_ms = task->started_ms,
        .made = ox_task_attempt(task) };
}

struct ox_task *ox__task_new(ox_worker *worker)
{
    struct ox_task *task = worker->spare;
    if (task != NULL) {
        worker->spare = task->next;
        memset(task, 0, sizeof(*task));
    } else {
        task = calloc(1, sizeof(*task));
    }
    if (task != NULL) {
        task->worker = worker;
    }
    return task;
}

void ox__task_free(struct ox_task *task)
{
    ox__task_hush(task);
    ox__run_options_drop(task->run);
    ox_job_free(task->job);
    free(task->end.reason);
    ox__buf_done(&task->end.kept);
    task->job = NULL;
    task->end.reason = NULL;
    task->run = NULL;
    task->next = task->worker->spare;
    task->worker->spare = task;
}

void ox__tasks_forget(struct ox__task_list *list)
{
    while (list->head != NULL) {
        struct ox_task *task = list->head;
        ox__task_list_remove(list, task);
        ox__task_free(task);
    }
}
