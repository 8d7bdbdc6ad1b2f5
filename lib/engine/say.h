/*
 * say.h - what a job says while it runs: progress, log rows, new data.
 *
 * Each is a request of its own, sent at once. Of progress a few values may be on their way at
 * once, so that a handler's ordinary steps each have their event. Past PROGRESS_MAX only the
 * newest value matters: one waits, and what comes meanwhile takes its place. A job that tells
 * of its progress a million times while the server is slow costs so many values and one. Rows
 * are all kept, so whoever writes many looks at ox_task_pending_updates() and waits for
 * `updates_done`.
 *
 * A task may end before its requests are answered, so they share a talk, which knows the task
 * for as long as it is there. The last of them to go frees it.
 */
#ifndef OX_LIB_SAY_H
#define OX_LIB_SAY_H

#include "engine/jobs.h"

/* What a job says is sent at once and its end behind it. A script that the server does not have
 * is sent a second time, and then the end would be first; so it gets these before any job. One
 * that refuses them loses no more than that order. */
void ox__say_load_scripts(ox_worker *worker);
/* Sends what still waits to be said, before the task's end or its wait for children. */
void ox__say_rest(struct ox_task *task);
/* The task goes; what it said may still be on its way. */
void ox__say_hush(struct ox_task *task);

#endif /* OX_LIB_SAY_H */
