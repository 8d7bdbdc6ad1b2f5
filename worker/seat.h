/*
 * seat.h - one child of a pool and what it runs: start, progress, end.
 *
 * A seat exists exactly as long as its child, until `gone`. A run that it was given ends,
 * exactly once, before `ended` or `gone` is called, or goes back unbegun by `outdated`.
 */
#ifndef OX_WORKER_SEAT_H
#define OX_WORKER_SEAT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "failure.h"
#include "log.h"
#include "run.h"

struct child_settings;
struct route_settings;
struct seat;

/* What a seat tells its owner. */
struct seat_hooks {
    /* It can be given runs. */
    void (*ready)(void *owner, struct seat *seat);
    /* Its run has ended; it takes the next one if seat_usable(). */
    void (*ended)(void *owner, struct seat *seat);
    /* It has not begun `run`, which is the owner's again, and is of no use for another one. */
    void (*outdated)(void *owner, struct seat *seat, struct run *run);
    /* Its child is gone; the seat is freed after this call. `reason`: see child.h. */
    void (*gone)(void *owner, struct seat *seat, const char *reason);
};

/* Starts a child. What it is given is borrowed for as long as it exists. NULL, and a message in
 * *problem (g_free), when that fails; then no hook is ever called. */
struct seat *seat_new(const struct child_settings *settings, const struct route_settings *route,
    const struct seat_hooks *hooks, void *owner, char **problem);

/* Gives a run to one that is ready, usable and not busy. */
void seat_start(struct seat *seat, struct run *run);

bool seat_usable(const struct seat *seat);
/* It was, at least once. */
bool seat_was_ready(const struct seat *seat);
bool seat_is_busy(const struct seat *seat);
/* Its child has done its number of jobs, or holds too much memory. */
bool seat_is_worn(const struct seat *seat);

/* Sends its child home, which is not busy. */
void seat_retire(struct seat *seat);
/* Kills its child and releases its run, which is not to blame; see child_kill(). */
void seat_take_away(struct seat *seat, enum failure kind, const char *reason);
/* Kills its child and forgets its run, because the worker is aborted. */
void seat_abandon(struct seat *seat);

/* A seat, for those who look. */
struct seat_state {
    pid_t pid;
    bool ready;
    const struct run *run; /* NULL: it does nothing */
    uint64_t running_ns;
    int64_t left_ms; /* until it is killed; -1: never */
};
void seat_look(const struct seat *seat, struct seat_state *out);

/* A line about its child; `reason` may be NULL. */
void seat_log(
    const struct seat *seat, enum log_level level, const char *event, const char *reason);

/* What its consumer tells of a run, which any seat may have, or none. All that it has said is
 * answered: */
void seat_said(const struct run *run);
/* Its lock was lost; false: no seat has it. */
bool seat_lock_lost(struct run *run);

#endif /* OX_WORKER_SEAT_H */
