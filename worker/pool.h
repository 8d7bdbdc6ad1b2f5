/*
 * pool.h - the children of one queue, and the jobs that they run.
 *
 * The pool stands between a worker of libox, which hands out tasks, and children, which run
 * them. Every task it is given it ends, exactly once: when its child answers, when its child
 * is gone, or at once when there is no child for it.
 *
 * Children are started when there is work for them, at most `concurrency`, and kept. When
 * none can be started, what was taken is released for other workers, nothing more is taken,
 * and a start is tried again after a while; the wait doubles up to half a minute.
 */
#ifndef OX_WORKER_POOL_H
#define OX_WORKER_POOL_H

#include <ox.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

struct settings;
struct queue_settings;
struct pool;

/* `settings` and `queue` are borrowed until the pool is closed. Never NULL. */
struct pool *pool_new(
    uv_loop_t *loop, const struct settings *settings, const struct queue_settings *queue);

/* The worker that the tasks come from; the pool pauses and resumes it. NULL once it is gone. */
void pool_attach(struct pool *pool, ox_worker *worker);

/* Callbacks of that worker; `arg` is the pool. */
void pool_process(ox_task *task, void *arg);
void pool_lock_lost(ox_task *task, void *arg);
/* All that the task has said is answered. */
void pool_said(ox_task *task);
/* The server has stored the end of a run, or refused it. */
void pool_run_ended(const ox_run_end *end, struct pool *pool);

/* The operator stops the taking of jobs, or lets it go on. */
void pool_hold(struct pool *pool, bool hold);

/* Kills the children that run jobs and releases those jobs, and all that still come: they run
 * again elsewhere. */
void pool_give_back(struct pool *pool);
/* Kills all children and forgets their tasks, because their worker is aborted. */
void pool_abandon(struct pool *pool);

/* How many tasks are not ended. */
uint32_t pool_running(const struct pool *pool);

/* When its worker is gone: sends the children home and calls `closed` from the loop; then the
 * pool is freed. */
void pool_close(struct pool *pool, void (*closed)(void *arg), void *arg);

#endif /* OX_WORKER_POOL_H */
