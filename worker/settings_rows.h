/*
 * settings_rows.h - the options of ox-worker as rows, by what they are about.
 *
 * Every option is a flag (--log-level), a variable of the environment (OX_LOG_LEVEL) and, but
 * for commands, a key of a settings file (log-level); what is of streams alone is a key only.
 */
#ifndef OX_WORKER_SETTINGS_ROWS_H
#define OX_WORKER_SETTINGS_ROWS_H

#include "base/options.h"
#include "settings.h"

/* What the variables of the environment begin with. */
#define VARIABLE_PREFIX "OX_"
#define MAX_CHILDREN 1024

struct command {
    const char *config;
    bool check, handlers, help, version;
};

extern const struct opt command_rows[]; /* struct command: for the command line only */
extern const struct opt worker_rows[];  /* struct settings: [worker] */
extern const struct opt queue_rows[];   /* struct queue_settings: [queue NAME] and [worker] */
extern const struct opt route_rows[];   /* struct route_settings: [handler ..] and [worker] */
extern const struct opt stream_rows[];  /* struct stream_settings: [stream ..], and no flags */

#endif /* OX_WORKER_SETTINGS_ROWS_H */
