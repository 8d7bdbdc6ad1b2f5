/*
 * program.h - the program that runs the handlers, asked before any job is: where it is, which
 * handlers and options it has, and whether a handler would start. It has 30 seconds for each
 * answer; ask.h says what ends it before.
 */
#ifndef OX_WORKER_PROGRAM_H
#define OX_WORKER_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/options.h"
#include "handler.h"

/* The value of an option, as text; a flag is only there or not. */
union handler_value {
    const char *text;
    bool flag;
};

/* A handler as its program describes it. */
struct handler_info {
    const char *name, *summary;
    enum handler_runs runs;
    bool uses_server;
    int64_t memory_bytes, max_processes; /* its limits unless others are given; 0: none */
    struct opt *opts;                    /* OPT_TEXT and OPT_FLAG: the child reads the values */
    size_t opt_count;
    union handler_value *values;    /* what `opts` fill, one each */
    struct handler_secret *secrets; /* ended by a row without variable */
    size_t secret_count;
};

struct handler_list {
    GStringChunk *strings;
    struct handler_info *items;
    size_t count;
};

/* What came of a question. */
enum program_answer {
    PROGRAM_GOOD,
    PROGRAM_BAD,    /* its answer says that something is wrong */
    PROGRAM_PASSING /* there was none, which may pass: it was killed, was late, or could not be
                       started for want of memory or processes */
};

/* Path of ox-handler: the file `given`, or else beside this program or in ../libexec. NULL and
 * a message in *problem when it is not there; both g_free. */
char *program_find(const char *given, char **problem);

/* Asks for its handlers. What is not good leaves a message in *problem (g_free). Free the list
 * in any case. */
enum program_answer program_list(
    struct handler_list *list, const char *program, char **problem);
void handler_list_done(struct handler_list *list);
/* The handler with that name, or NULL. */
const struct handler_info *handler_list_find(const struct handler_list *list, const char *name);

/* What its check says about the sandbox: this, and "--layer=state" words with tabs between. */
#define PROGRAM_LAYERS "layers\t"

/* How a child of a route is started: its command line, its environment, and what only it is to
 * see (private_words.h); each ended by NULL. */
struct program_start {
    char **argv, **env, **words;
};

/* Has it check a handler and its settings. *layers (g_strfreev): what will hold and confine it.
 * What is not good leaves the reason in *problem (g_free). */
enum program_answer program_check(
    const char *program, const struct program_start *start, char ***layers, char **problem);

#endif /* OX_WORKER_PROGRAM_H */
