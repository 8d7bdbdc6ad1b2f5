/*
 * serve.c - the start of a child process, which runs jobs for the parent that started it;
 * serve_jobs.c runs them. The process that the parent starts is the keeper of this one, see
 * tree.h, and takes it along when the parent is gone.
 *
 * Nothing of the parent is of use here but the socket and stderr, so every other descriptor
 * is closed, and stdout goes where stderr goes: a library that prints must not break frames.
 *
 * Besides serving, the program answers two questions for the parent, which is not linked with
 * the handlers: which are there (--list), and would this one start (--check).
 */
#include "serve.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <ox.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "private_words.h"
#include "proc.h"
#include "program.h"
#include "sandbox.h"
#include "serve_jobs.h"
#include "sibling.h"
#include "tree.h"

enum { EXIT_DONE, EXIT_FAILED, EXIT_USAGE };

/* Libraries and stacks take address space, and little memory. */
#define SPARE_SPACE_BYTES ((int64_t)512 << 20)

static struct given {
    const char *queue, *group, *handler, *arg;
    int64_t tree;    /* enum tree_kind */
    int64_t sandbox; /* enum sandbox_mode */
    int64_t memory;  /* bytes */
    const char *rlimit;
    struct handler_server server;
    bool list, check, private_words;
} given;

static const struct opt rows[] = {
    { .name = "list",
        .kind = OPT_FLAG,
        .offset = offsetof(struct given, list),
        .help = "print the handlers and their options" },
    { .name = "check",
        .kind = OPT_FLAG,
        .offset = offsetof(struct given, check),
        .help = "check the handler's settings" },
    { .name = "private-words",
        .kind = OPT_FLAG,
        .offset = offsetof(struct given, private_words),
        .help = "read the handler's argument, options and secrets from stdin, see "
                "private_words.h" },
    { .name = "tree",
        .kind = OPT_CHOICE,
        .offset = offsetof(struct given, tree),
        .arg = "subreaper|namespace",
        .help = "what holds the handler's processes together" },
    { .name = "sandbox",
        .kind = OPT_CHOICE,
        .offset = offsetof(struct given, sandbox),
        .arg = "on|strict|off",
        .help = "take away what the handler does not need" },
    { .name = "memory",
        .kind = OPT_BYTES,
        .offset = offsetof(struct given, memory),
        .max = INT64_C(1) << 60,
        .arg = "SIZE",
        .help = "what its processes may hold" },
    { .name = "rlimit",
        .kind = OPT_TEXT,
        .offset = offsetof(struct given, rlimit),
        .arg = "LIMITS",
        .help = "what a process may use" },
    { .name = "queue",
        .kind = OPT_TEXT,
        .offset = offsetof(struct given, queue),
        .arg = "NAME",
        .help = "whose jobs these are" },
    { .name = "group",
        .kind = OPT_TEXT,
        .offset = offsetof(struct given, group),
        .arg = "NAME",
        .help = "of the stream that the queue is then: batches of its events are run" },
    { .name = "handler",
        .kind = OPT_TEXT,
        .offset = offsetof(struct given, handler),
        .arg = "NAME",
        .help = "what runs them" },
    { .name = "redis",
        .kind = OPT_TEXT,
        .offset = offsetof(struct given, server.redis),
        .arg = "URL",
        .help = "the server, for a handler that uses it" },
    { .name = "prefix",
        .kind = OPT_TEXT,
        .offset = offsetof(struct given, server.prefix),
        .arg = "PREFIX",
        .help = "of its keys" },
    OX__TLS_ROWS(struct given, server.tls),
    { .name = "arg",
        .kind = OPT_TEXT,
        .offset = offsetof(struct given, arg),
        .arg = "TEXT",
        .help = "the handler's argument" },
    { 0 },
};

/* One child has one parent, one handler and one job, so they are what they look like. */
static const struct handler *handler;
static struct handler_config config;
static GStringChunk *strings; /* the values of options */
static struct rlimits limits;
static struct tree_probe probed; /* for --check */

static void fail(const char *problem)
{
    fprintf(stderr, "ox-handler: %s\n", problem);
}

/* A job that starts need not push aside who serves others, such as the parent, which renews
 * leases, or Redis. It has as much of the processor as before, in longer turns. */
static void work_in_bulk(void)
{
    const struct sched_param none = { 0 };
    if (sched_getscheduler(0) == SCHED_OTHER) {
        sched_setscheduler(0, SCHED_BATCH, &none); /* if not, then as it was */
    }
}

static bool has_parent(void)
{
    int type;
    socklen_t size = sizeof type;
    return getsockopt(SERVE_FD, SOL_SOCKET, SO_TYPE, &type, &size) == 0;
}

/* The parent's socket and stderr are all that is of use here: a library that prints must not
 * break frames. */
static bool prepare_process(void)
{
    if (!has_parent()) {
        fail("runs jobs for ox-worker, which starts it; see ox-worker --help");
        return false;
    }
    tree_inside((enum tree_kind)given.tree);
    return dup2(STDERR_FILENO, STDOUT_FILENO) >= 0;
}

static void find_needs(struct sandbox_needs *needs)
{
    *needs = (struct sandbox_needs){ 0 };
    if (handler->needs != NULL) {
        handler->needs(&config, needs);
    }
}

/* The handler's own limits, and those that were given over them. */
static bool read_limits(char **problem)
{
    g_autofree char *own = g_strdup(handler->rlimit), *other = g_strdup(given.rlimit),
                    *why = NULL;
    if (!rlimits_parse(own, &limits, &why) || !rlimits_parse(other, &limits, &why)) {
        *problem = g_strdup_printf("--rlimit: %s", why);
        return false;
    }
    return true;
}

/* Strict is only content with all layers. */
static bool accept_layers(const struct sandbox_layers *layers, char **problem)
{
    if (given.sandbox == SANDBOX_STRICT && layers->missing != NULL) {
        *problem = g_strdup_printf("--sandbox=strict: this system does not give %s: %s",
            layers->missing, g_strerror(layers->error));
        return false;
    }
    return true;
}

static bool enter_sandbox(char **problem)
{
    struct sandbox_needs needs;
    struct sandbox_layers layers;
    int64_t space =
        handler->bounded_space && given.memory > 0 ? 2 * given.memory + SPARE_SPACE_BYTES : 0;
    rlimits_enter(&limits, space);
    if (given.sandbox == SANDBOX_OFF) {
        return true;
    }
    find_needs(&needs);
    sandbox_enter(&needs, &layers);
    return accept_layers(&layers, problem);
}

static int serve_program(void)
{
    g_autofree char *problem = NULL;
    if (!prepare_process()) {
        return EXIT_USAGE;
    }
    if (!read_limits(&problem) || !enter_sandbox(&problem)) {
        serve_say(FRAME_REFUSED, problem);
        return EXIT_FAILED;
    }
    work_in_bulk();
    if (handler->init != NULL && !handler->init(&config, false, &problem)) {
        serve_say(FRAME_REFUSED, problem != NULL ? problem : "the handler gave no reason");
        return EXIT_FAILED;
    }
    serve_say(FRAME_READY, ox_version());
    const struct served served = { handler, &config, given.queue, &limits };
    serve_jobs(&served);
    if (handler->done != NULL) {
        handler->done();
    }
    return EXIT_DONE;
}

/* A tree that is not in a namespace is found in /proc, by the ids that this process knows. */
static bool can_hold_tree(char **problem)
{
    bool in_namespace = given.sandbox != SANDBOX_OFF && probed.kind == TREE_NAMESPACE;
    if (in_namespace || proc_is_own()) {
        return true;
    }
    g_autofree char *why = given.sandbox == SANDBOX_OFF
                               ? g_strdup("--sandbox=off makes no PID namespace")
                               : g_strdup_printf("this system gives no PID namespace: %s",
                                     g_strerror(probed.error));
    *problem = g_strdup_printf("the processes of a job could not be killed: %s, and /proc, "
                               "where they would be found, is %s; mount it",
        why, access("/proc/self", F_OK) == 0 ? "that of other processes" : "not mounted");
    return false;
}

/* Whether ox-worker sees what the processes of a job use. It is to them as this process is to
 * its keeper: of the same user, who may see nobody in a /proc with hidepid. */
static bool can_watch(void)
{
    return proc_is_own() && proc_resident(getppid()) > 0;
}

/* What holds and confines a child here, as program.c reads it. */
static bool tell_layers(char **problem)
{
    struct sandbox_needs needs;
    struct sandbox_layers layers;
    if (given.sandbox == SANDBOX_OFF) {
        printf(PROGRAM_LAYERS "--sandbox=off\n");
        return true;
    }
    find_needs(&needs);
    sandbox_probe(&needs, &layers);
    if (layers.missing == NULL && probed.kind != TREE_NAMESPACE) {
        layers.missing = "PID namespaces";
        layers.error = probed.error;
    }
    if (layers.missing == NULL && !can_watch()) {
        layers.missing = "a view of other processes in /proc (hidepid)";
        layers.error = EACCES;
    }
    const char *unused = needs.confined ? "no" : "unused";
    g_autofree char *landlock = g_strdup_printf("%d", layers.landlock);
    printf(PROGRAM_LAYERS "--sandbox=%s\t--namespace=%s\t--proc=%s\t--limits=%s"
                          "\t--no_new_privs=%s\t--landlock=%s\t--seccomp=%s\n",
        given.sandbox == SANDBOX_STRICT ? "strict" : "on",
        probed.kind == TREE_NAMESPACE ? "yes" : "no", probed.own_proc ? "own" : "shared",
        can_watch() ? "yes" : "no", layers.no_new_privs ? "yes" : "no",
        layers.landlock > 0 ? landlock : unused, layers.seccomp ? "yes" : unused);
    return accept_layers(&layers, problem);
}

static int check_program(void)
{
    g_autofree char *problem = NULL;
    bool good = handler->init == NULL || handler->init(&config, true, &problem);
    if (good && can_hold_tree(&problem) && read_limits(&problem) && tell_layers(&problem)) {
        return fflush(stdout) == 0 ? EXIT_DONE : EXIT_FAILED;
    }
    fail(problem != NULL ? problem : "the handler gave no reason");
    return EXIT_USAGE;
}

/* A line for each handler, and behind a tab one for each of its options, behind two tabs one
 * for each of its secrets; program.c reads them. */
static int list_program(const struct handler *const table[])
{
    for (size_t i = 0; table[i] != NULL; i++) {
        printf("%s\t%s\t%" PRId64 "\t%" PRId64 "\t%d\t%d\n", table[i]->name, table[i]->summary,
            table[i]->memory_bytes, table[i]->max_processes, (int)table[i]->runs,
            (int)table[i]->uses_server);
        for (const struct opt *opt = table[i]->opts; opt != NULL && opt->name != NULL; opt++) {
            g_autofree char *help = ox__option_help(opt);
            printf("\t%s\t%s\t%s\n", opt->name, opt->arg != NULL ? opt->arg : "", help);
        }
        const struct handler_secret *secret = table[i]->secrets;
        for (; secret != NULL && secret->variable != NULL; secret++) {
            printf(
                "\t\t%s\t%s\n", secret->variable, secret->option != NULL ? secret->option : "");
        }
    }
    if (fflush(stdout) != 0) {
        return EXIT_FAILED;
    }
    sibling_list();
    return EXIT_DONE;
}

static const struct handler *find_handler(const struct handler *const table[], const char *name)
{
    size_t i = 0;
    while (table[i] != NULL && strcmp(table[i]->name, name) != 0) {
        i++;
    }
    return table[i];
}

/* Behind "--name=", before the options can be read. NULL: it is not there. */
static char **find_word(char **argv, const char *option)
{
    while (*argv != NULL && !g_str_has_prefix(*argv, option)) {
        argv++;
    }
    return *argv != NULL ? argv : NULL;
}

static const char *value_of(char **word)
{
    return word != NULL ? strchr(*word, '=') + 1 : NULL;
}

/* The process that has a parent to look for starts the tree and keeps it; the one that comes
 * back from here is the handler's, and its words are without that parent. */
static bool enter_tree(char **argv)
{
    char **parent = find_word(argv, "--parent="), **tree = find_word(argv, "--tree=");
    g_autofree char *problem = NULL;
    if (parent == NULL || !has_parent()) {
        return true;
    }
    bool in_namespace = tree != NULL && strcmp(value_of(tree), "namespace") == 0;
    pid_t pid = (pid_t)strtol(value_of(parent), NULL, 10);
    closefrom(SERVE_FD + 1);
    if (!tree_enter(in_namespace ? TREE_NAMESPACE : TREE_SUBREAPER, pid, SERVE_FD, &problem)) {
        serve_say(FRAME_REFUSED, problem);
        return false;
    }
    for (char **word = parent; *word != NULL; word++) {
        word[0] = word[1];
    }
    return true;
}

/* From now on no other process of the same user can look into this one: its memory, its
 * environment, its descriptors. (Files in /proc about itself belong to root then; so the ids of
 * a namespace have to be mapped before.) Only after that it reads what is secret. */
static void close_to_others(void)
{
    prctl(PR_SET_DUMPABLE, 0);
}

static bool take_options(char **argv, char **problem)
{
    g_autoptr(GPtrArray) all = g_ptr_array_new();
    void *options = g_malloc0(handler != NULL ? MAX(handler->options_size, 1) : 1);
    const struct opt_target targets[] = {
        { rows, &given },
        { handler != NULL ? handler->opts : NULL, options },
    };
    for (char **word = argv; *word != NULL; word++) {
        g_ptr_array_add(all, g_strdup(*word));
    }
    bool good = find_word(argv, "--private-words") == NULL || private_words_take(all);
    g_ptr_array_add(all, NULL);
    char **words = (char **)g_ptr_array_steal(all, NULL);
    strings = g_string_chunk_new(256);
    if (!good) {
        *problem = g_strdup("--private-words: stdin is not what ox-worker sends");
    }
    good = good && ox__options_init(targets, G_N_ELEMENTS(targets), strings, problem) &&
           ox__options_parse(&words, targets, G_N_ELEMENTS(targets), false, strings, problem);
    config = (struct handler_config){
        .arg = given.arg,
        .options = options,
        .memory_bytes = given.memory,
        .stream = given.group != NULL ? given.queue : NULL,
        .server = &given.server,
    };
    g_strfreev(words);
    return good;
}

int serve_main(int argc, char **argv, const struct handler *const table[])
{
    g_autofree char *problem = NULL;
    const char *name = argc > 0 ? value_of(find_word(argv + 1, "--handler=")) : NULL;
    if (argc > 0 && !enter_tree(argv + 1)) {
        return EXIT_FAILED;
    }
    handler = name != NULL ? find_handler(table, name) : NULL;
    if (name != NULL && handler == NULL) {
        sibling_become(name, argv);
    }
    if (find_word(argv, "--check") != NULL) {
        tree_probe(&probed);
    }
    close_to_others();
    if (!take_options(argv, &problem)) {
        fail(problem);
        return EXIT_USAGE;
    }
    if (given.list) {
        return list_program(table);
    }
    if (handler == NULL) {
        problem = g_strdup_printf("no handler is called %s", name != NULL ? name : "(nothing)");
        fail(problem);
        return EXIT_USAGE;
    }
    if (config.arg != NULL && handler->argument == NULL) {
        problem = g_strdup_printf(
            "%s takes no argument; write %s instead of %s:%s", name, name, name, config.arg);
        fail(problem);
        return EXIT_USAGE;
    }
    return given.check ? check_program() : serve_program();
}
