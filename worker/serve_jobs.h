/*
 * serve_jobs.h - the jobs of a child process: from the parent to the handler, and what became
 * of them back.
 */
#ifndef OX_WORKER_SERVE_JOBS_H
#define OX_WORKER_SERVE_JOBS_H

#include "frame.h"
#include "handler.h"
#include "rlimits.h"

/* What this process runs. */
struct served {
    const struct handler *handler;
    const struct handler_config *config;
    const char *queue;
    const struct rlimits *limits;
};

/* Sends a text for people, which may lose its end. */
void serve_say(enum frame_type type, const char *text);
/* Runs jobs until the parent closes its end. */
void serve_jobs(const struct served *served);

#endif /* OX_WORKER_SERVE_JOBS_H */
