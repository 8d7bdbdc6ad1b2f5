/*
 * say.h - updates of a running job: progress, log rows, new data.
 *
 * Each is a request of its own, sent at once. Up to PROGRESS_MAX values of progress may be in
 * flight at once, so that each ordinary step of a handler has its event. Beyond that only the
 * newest value waits, and replaces the one before. So a job that reports progress a million
 * times while the server is slow uses little memory. Log rows are all kept, so a program that
 * writes many checks ox_task_pending_updates() and waits for `updates_done`.
 *
 * A task may end before its requests are answered, so they share a talk, which knows the task
 * for as long as it is there. The last of them to go frees it.
 */
#ifndef OX_LIB_SAY_H
#define OX_LIB_SAY_H

#include "engine/jobs.h"

/* Loads the scripts for updates before any job is taken: after NOSCRIPT an update would be
 * resent behind the end of its job. If the server refuses, only that order is lost. */
void ox__say_load_scripts(ox_worker *worker);
/* Sends pending progress, before the task's end or its wait for children. */
void ox__say_rest(struct ox_task *task);
/* The task is freed; its updates may still be in flight. */
void ox__say_hush(struct ox_task *task);

#endif /* OX_LIB_SAY_H */
