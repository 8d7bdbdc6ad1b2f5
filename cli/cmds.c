/*
 * cmds.c - the table of all verbs, in the order in which --help lists them. A new verb is a
 * file of its own, which defines `cmd_<verb>`, and a row here.
 */
#include "cmd.h"

#define VERBS(XX)                                                                              \
    XX(add)                                                                                    \
    XX(import)                                                                                 \
    XX(flow)                                                                                   \
    XX(queues)                                                                                 \
    XX(counts)                                                                                 \
    XX(jobs)                                                                                   \
    XX(job)                                                                                    \
    XX(explain)                                                                                \
    XX(events)                                                                                 \
    XX(workers)                                                                                \
    XX(metrics)                                                                                \
    XX(retry)                                                                                  \
    XX(promote)                                                                                \
    XX(cancel)                                                                                 \
    XX(update)                                                                                 \
    XX(rm)                                                                                     \
    XX(pause)                                                                                  \
    XX(resume)                                                                                 \
    XX(limit)                                                                                  \
    XX(drain)                                                                                  \
    XX(clean)                                                                                  \
    XX(obliterate)                                                                             \
    XX(schedule_set)                                                                           \
    XX(schedule_ls)                                                                            \
    XX(schedule_rm)                                                                            \
    XX(publish)                                                                                \
    XX(bind)                                                                                   \
    XX(unbind)                                                                                 \
    XX(bindings)                                                                               \
    XX(route)                                                                                  \
    XX(tail)                                                                                   \
    XX(replay)                                                                                 \
    XX(stream_ls)                                                                              \
    XX(stream_show)                                                                            \
    XX(stream_set)                                                                             \
    XX(stream_trim)                                                                            \
    XX(stream_install)                                                                         \
    XX(stream_rm)                                                                              \
    XX(group_ls)                                                                               \
    XX(group_show)                                                                             \
    XX(group_seek)                                                                             \
    XX(group_rm)                                                                               \
    XX(dead_ls)                                                                                \
    XX(dead_show)                                                                              \
    XX(dead_retry)                                                                             \
    XX(dead_rm)                                                                                \
    XX(dev)                                                                                    \
    XX(completion)

#define DECLARE(verb) extern const struct cmd cmd_##verb;
VERBS(DECLARE)

#define ROW(verb) &cmd_##verb,
const struct cmd *const cmds[] = { VERBS(ROW) NULL };
