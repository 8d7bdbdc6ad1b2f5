/*
 * cmd.h - a verb of ox, as one row.
 *
 * To add a verb: write cmd_<verb>.c with its option rows, its exec function and a `const
 * struct cmd cmd_<verb>`, and put <verb> into the table of cmds.c; nothing else. A verb that
 * lists declares its fields (records.h). --help, the shell completions and the manual page (ox
 * completion man > docs/ox.1) are made from the rows.
 *
 * A verb gets a struct run: its options in a zeroed struct of its own, filled by the rows'
 * offsets, and its arguments. It prints results on stdout and everything else on stderr, and
 * returns an enum status. It never exits by itself, and frees what it made.
 */
#ifndef OX_CLI_CMD_H
#define OX_CLI_CMD_H

#include "base/options.h"
#include "base/tls_options.h"
#include "out.h"
#include <glib.h>
#include <ox.h>
#include <stdbool.h>
#include <stddef.h>

enum status { STATUS_DONE = 0, STATUS_FAILED = 1, STATUS_USAGE = 2, STATUS_NOT_FOUND = 3 };

struct run;

struct cmd {
    const char *name;       /* "add", or "schedule set" for a verb of two words */
    const char *summary;    /* one line for the list of verbs */
    const char *usage;      /* its arguments: "QUEUE NAME [DATA]" */
    const char *help;       /* what the arguments mean; may be long */
    const char *example;    /* lines that one can type; NULL: none */
    const struct opt *opts; /* ended by a row without name; NULL: none */
    const struct opt *more; /* a shared table for the same struct; NULL: none */
    size_t opts_size;       /* bytes of the struct that the rows fill; 0: none */
    int min_args, max_args; /* max_args -1: any number */
    bool takes_tail;        /* what follows "--" is not an argument but `tail` */
    int (*exec)(struct run *run);
};

/* One call of a verb. Strings are borrowed and live as long as the run. */
struct run {
    const struct cmd *cmd;
    void *opts;  /* cmd->opts_size bytes, filled */
    char **args; /* ended by NULL */
    int arg_count;
    char **tail; /* ended by NULL; with takes_tail only */
    bool json;
    bool legacy_pause; /* of every queue that is opened */
    const char *redis; /* --redis or its variables; NULL: the library's default */
    struct ox__tls_given tls;
    const char *prefix; /* never NULL */
    const char *self;   /* how ox itself was called: argv[0] */
    struct out out;
    ox_client *client;     /* made by server_client(), closed at the end */
    GStringChunk *strings; /* owns the option values */
};

/* Options that every verb takes. */
extern const struct opt global_opts[];

/* The states that a row may name: .kind = OPT_CHOICE, .max = ANY_STATE, STATE_CHOICE */
#define STATE_BIT(state) (INT64_C(1) << (state))
#define ANY_STATE (STATE_BIT(OX_UNKNOWN) - 1)
#define STATE_CHOICE .name_of = ox_state_name, .value_of = ox_state_parse

/* All verbs, ended by NULL, in the order in which --help lists them. */
extern const struct cmd *const cmds[];

/* Runs the program. Returns its exit status. */
int app_run(int argc, char **argv);

/* One line on stderr, "ox add: ..."; control characters in it are replaced. */
void complain(const struct run *run, const char *format, ...) G_GNUC_PRINTF(2, 3);
/* The same, with the hint to --help. Returns STATUS_USAGE. */
int complain_usage(const struct run *run, const char *format, ...) G_GNUC_PRINTF(2, 3);
/* Reports an error of the library. Returns the status that fits. */
int complain_error(const struct run *run, const ox_error *err);
/* The status that fits an OX_E... code, without a message. */
int status_of(int code);

#endif /* OX_CLI_CMD_H */
