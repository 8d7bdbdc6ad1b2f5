/*
 * agent.h - what the parts of the test agent share.
 *
 * A request is one JSON object on a line; an operation reads its arguments from it, leaves
 * its answer in `value` and returns what libox returned.
 */
#ifndef OX_INTEROP_AGENT_H
#define OX_INTEROP_AGENT_H

#include <jansson.h>
#include <ox.h>
#include <uv.h>

/* An operation answers later, by agent_reply() with the request's id. */
#define AGENT_LATER 1000000

struct agent {
    uv_loop_t loop;
    ox_client *client; /* blocking: for every call that is not the worker's */
    const char *url;
    ox_events *events; /* the one open reader, or NULL */
    ox_queue *events_queue;
};

struct call {
    struct agent *agent;
    const json_t *request; /* borrowed */
    ox_queue *queue;       /* made for the call, or NULL for an operation without one */
    ox_error error;
};

struct operation {
    const char *name;
    bool wants_queue;
    int (*run)(struct call *call, json_t **value);
};

/* Each part's operations, ended by a row without a name. */
extern const struct operation queue_operations[];
extern const struct operation steering_operations[];
extern const struct operation worker_operations[];

/* Arguments of a request; the second form of each takes what is missing for `none`. */
const char *arg_text(const struct call *call, const char *key);
int64_t arg_number(const struct call *call, const char *key, int64_t none);
bool arg_bool(const struct call *call, const char *key);
/* The state that the argument "state" names, or OX_EINVAL. */
int arg_state(const struct call *call);
/* What libox returned, as the answer. */
int counted(int64_t result, json_t **value);
/* JSON text of the argument "data", or of "text" as it is; NULL when there is neither.
 * The caller frees it (free). */
char *arg_json(const json_t *object);

/* BullMQ's job options by their long names, as an ox_job_options. Strings are borrowed from
 * `opts`; "json", the raw form, from `holder`. Returns 0 or OX_EINVAL for an unknown name. */
int job_options(const json_t *opts, ox_job_options *out, ox_error *error);
ox_keep keep_option(const json_t *value);

/* The queue that a request or step names. */
int queue_of(struct agent *agent, const json_t *request, ox_queue **out, ox_error *error);

/* Lines on stdout. Both take `value` over; NULL stands for null. */
void agent_reply(int64_t id, json_t *value);
void agent_event(json_t *event);
/* Ends every worker at once, as the end of the agent. */
void abort_workers(void);
/* Wall clock, Unix milliseconds with fractions. */
double agent_now_ms(void);

#endif /* OX_INTEROP_AGENT_H */
