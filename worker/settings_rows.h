/*
 * settings_rows.h - the options of ox-worker as rows, and the struct that they fill.
 */
#ifndef OX_WORKER_SETTINGS_ROWS_H
#define OX_WORKER_SETTINGS_ROWS_H

#include "base/options.h"
#include "settings.h"

#define MAX_CHILDREN 1024

/* All that a command line fills. */
struct given {
    struct settings settings;
    const char *handlers;
    bool help, version;
};

/* Ended by a row without name. */
extern const struct opt settings_rows[];

#endif /* OX_WORKER_SETTINGS_ROWS_H */
