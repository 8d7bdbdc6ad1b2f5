/*
 * act.h - applies one action to many jobs, and prints what was done.
 */
#ifndef OX_CLI_ACT_H
#define OX_CLI_ACT_H

#include "cmd.h"
#include "json.h"

/* Applies the action to one job. Returns 0 or more, or an OX_E... code with `err` filled. */
typedef int act_fn(ox_queue *queue, const char *id, void *arg, ox_error *err);

/* Does it to many, with a result for each, which is like that of an act_fn, also when it fails:
 * then it may be done in part. */
typedef int64_t act_many_fn(
    ox_queue *queue, const char *const *ids, size_t count, int *results, ox_error *err);

/* What a verb does to each of its ids. */
struct act {
    const char *id_name; /* what the id is called in JSON: "id", or "key" for schedulers */
    const char *done;    /* in the past tense: "removed" */
    act_fn *act;
    /* NULL, or the action for all ids read so far at once; `act` then repeats it for those that
     * failed, and reports why. */
    act_many_fn *many;
    /* NULL, or what else JSON says of an id for which `act` returned `result`. */
    void (*more)(struct obj *obj, int result);
};

/*
 * Runs `act` for each id among the arguments from the second on; "-" stands for ids on stdin,
 * one a line, of which everything behind a tab is ignored. Prints each id that worked
 * ({"<id_name>":..,"<done>":true} with --json) and reports each failure; goes on after a
 * failure, but not after a lost connection.
 * @param arg  for the act
 * @return the status of the first failure
 */
int act_on_ids(struct run *run, ox_queue *queue, const struct act *act, void *arg);

/* Prints how many were done, in the way the output wants it: "retried 5 jobs", 5, or
 * {"retried":5}. `noun` is one of them: "job". */
void act_print_count(const struct run *run, const char *done, int64_t count, const char *noun);
/* Prints how many jobs were done, as act_print_count(). A negative count is an error and is
 * reported; 0 is checked for a missing queue. Returns an enum status. */
int act_report(
    struct run *run, ox_queue *queue, const char *done, int64_t count, const ox_error *err);

/* Prints that what the first argument names is removed: "queue images is gone", nothing in a
 * pipe, or {"queue":"images","removed":true}, where `noun` is "queue" and `done` is "removed".
 * A negative code is an error and is reported. Returns an enum status. */
int act_report_gone(
    const struct run *run, const char *noun, const char *done, int code, const ox_error *err);

/* Prints the id of a job that was made: alone, or as {"id":..}. */
void act_print_id(const struct run *run, const char *id);

/* Reports on stderr that an add created no job, depending on `added`, an enum ox_added.
 * `dedup_id` may be NULL. */
void act_report_duplicate(
    const struct run *run, const char *id, int added, const char *dedup_id);
/* The same as fields of an object: "added":false and "reason"; nothing when a job was made. */
void act_put_added(struct obj *obj, int added);

#endif /* OX_CLI_ACT_H */
