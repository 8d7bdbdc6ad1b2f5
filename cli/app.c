/*
 * app.c - finds the verb, reads its options, runs it, turns the outcome into an exit status.
 *
 * Options of ox itself may stand before the verb as well as behind it. Words after "--" are
 * never options: they are removed before the options are parsed and added again as arguments,
 * or passed as the tail to verbs that start another program.
 */
#include "base/suggest.h"
#include "cmd.h"
#include "help.h"
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

/* ---- options of every verb --------------------------------------------------------------- */

struct globals {
    const char *redis, *prefix;
    struct ox__tls_given tls;
    bool legacy_pause, json, help, version;
};

const struct opt global_opts[] = {
    { .name = "redis",
        .kind = OPT_TEXT,
        .offset = offsetof(struct globals, redis),
        .arg = "URL",
        .env = "OX_REDIS_URL REDIS_URL",
        .help = "the server: redis://[user:password@]host[:port][/db], rediss:// for TLS, or "
                "unix:///path[?db=n], or "
                "@FILE that holds one, so that no password is typed; else OX_REDIS_URL, else "
                "REDIS_URL, else redis://127.0.0.1:6379" },
    OX__TLS_ROWS(struct globals, tls),
    { .name = "prefix",
        .kind = OPT_TEXT,
        .offset = offsetof(struct globals, prefix),
        .arg = "PREFIX",
        .standard = "bull",
        .help = "the prefix of all keys, as BullMQ's" },
    { .name = "legacy-pause",
        .kind = OPT_FLAG,
        .offset = offsetof(struct globals, legacy_pause),
        .help = "for queues shared with BullMQ 5.x: keep the waiting jobs of a paused queue in "
                "the list paused as it does, or its resume may lose them" },
    { .name = "json",
        .kind = OPT_FLAG,
        .offset = offsetof(struct globals, json),
        .help = "print JSON: one object, or one object a line for lists" },
    { .name = "help",
        .letter = 'h',
        .kind = OPT_FLAG,
        .offset = offsetof(struct globals, help),
        .help = "print help and exit" },
    { .name = "version",
        .kind = OPT_FLAG,
        .offset = offsetof(struct globals, version),
        .help = "print the version and exit" },
    { 0 },
};

/* ---- finding the verb -------------------------------------------------------------------- */

/* How many of the words in `args` make the name of `cmd`: 0, 1 or 2. */
static int words_of(const struct cmd *cmd, char **args)
{
    g_auto(GStrv) words = g_strsplit(cmd->name, " ", 2);
    if (args[0] == NULL || strcmp(args[0], words[0])) {
        return 0;
    }
    if (words[1] == NULL) {
        return 1;
    }
    return args[1] != NULL && !strcmp(args[1], words[1]) ? 2 : 0;
}

static const struct cmd *find_cmd(char **args, int *words)
{
    for (const struct cmd *const *cmd = cmds; *cmd != NULL; cmd++) {
        if ((*words = words_of(*cmd, args))) {
            return *cmd;
        }
    }
    return NULL;
}

/* The second word of a verb's name if its first is `family`, else NULL. */
static const char *in_family(const struct cmd *cmd, const char *family)
{
    size_t length = strlen(family);
    bool begins = g_str_has_prefix(cmd->name, family) && cmd->name[length] == ' ';
    return begins ? cmd->name + length + 1 : NULL;
}

static bool is_family(const char *word)
{
    for (const struct cmd *const *cmd = cmds; *cmd != NULL; cmd++) {
        if (in_family(*cmd, word) != NULL) {
            return true;
        }
    }
    return false;
}

/* The word that was probably meant: a first one (`family` NULL), or one behind a family. */
static const char *nearest_verb(const char *family, const char *typed)
{
    struct ox__suggestion best = { .word = typed };
    for (const struct cmd *const *cmd = cmds; *cmd != NULL; cmd++) {
        g_auto(GStrv) words = g_strsplit((*cmd)->name, " ", 2);
        const char *word = family != NULL ? in_family(*cmd, family) : g_intern_string(words[0]);
        if (word != NULL) {
            ox__suggest(&best, word);
        }
    }
    return best.nearest;
}

static int unknown_in_family(const struct run *run, char **args)
{
    if (args[1] != NULL && *args[1] != '-') {
        const char *nearest = nearest_verb(args[0], args[1]);
        complain(run, "unknown verb \"%s %s\"%s%s%s (ox %s --help)", args[0], args[1],
            nearest != NULL ? "; did you mean " : "", nearest != NULL ? nearest : "",
            nearest != NULL ? "?" : "", args[0]);
        return STATUS_USAGE;
    }
    bool asked = args[1] != NULL && (!strcmp(args[1], "--help") || !strcmp(args[1], "-h"));
    help_family(asked ? stdout : stderr, args[0]);
    return asked ? STATUS_DONE : STATUS_USAGE;
}

static int unknown_verb(const struct run *run, char **args)
{
    if (is_family(args[0])) {
        return unknown_in_family(run, args);
    }
    const char *nearest = nearest_verb(NULL, args[0]);
    if (nearest != NULL) {
        return complain_usage(run, "unknown verb \"%s\"; did you mean %s?", args[0], nearest);
    }
    return complain_usage(run, "unknown verb \"%s\"", args[0]);
}

/* ---- running it -------------------------------------------------------------------------- */

static void append_all(GPtrArray *to, char **words)
{
    for (char **word = words; word != NULL && *word != NULL; word++) {
        g_ptr_array_add(to, g_strdup(*word));
    }
}

static int check_count(const struct run *run)
{
    const struct cmd *cmd = run->cmd;
    if (run->arg_count < cmd->min_args) {
        g_auto(GStrv) names = g_strsplit(cmd->usage, " ", -1);
        complain(run, "%s is missing; usage: ox %s %s", names[run->arg_count], cmd->name,
            cmd->usage);
        return STATUS_USAGE;
    }
    if (cmd->max_args >= 0 && run->arg_count > cmd->max_args) {
        complain(run, "unexpected argument \"%s\"; usage: ox %s%s%s (ox %s --help)",
            run->args[cmd->max_args], cmd->name, *cmd->usage ? " " : "", cmd->usage, cmd->name);
        return STATUS_USAGE;
    }
    return STATUS_DONE;
}

static void take_globals(struct run *run, const struct globals *globals)
{
    run->redis = globals->redis;
    run->tls = globals->tls;
    run->prefix = globals->prefix;
    run->legacy_pause = globals->legacy_pause;
    run->json = globals->json;
}

static int print_version(void)
{
    printf("ox %s\n", ox_version());
    return STATUS_DONE;
}

/* `words` are the arguments behind the verb, `tail` what followed "--" (may be NULL). */
static int run_verb(struct run *run, struct globals *globals, char **words, char **tail)
{
    const struct cmd *cmd = run->cmd;
    g_autofree void *opts = g_malloc0(MAX(cmd->opts_size, 1));
    const struct opt_target targets[] = {
        { cmd->opts, opts },
        { cmd->more, opts },
        { global_opts, globals },
    };
    g_autoptr(GPtrArray) list = g_ptr_array_new();
    g_ptr_array_add(list, g_strdup(cmd->name));
    append_all(list, words);
    g_ptr_array_add(list, NULL);
    g_auto(GStrv) args = (char **)g_ptr_array_steal(list, NULL);
    g_autofree char *why = NULL;
    if (!ox__options_init(targets, 2, run->strings, &why) ||
        !ox__options_parse(&args, targets, G_N_ELEMENTS(targets), false, run->strings, &why)) {
        return complain_usage(run, "%s", why);
    }
    take_globals(run, globals);
    if (!*run->prefix) {
        return complain_usage(run, "prefix is empty");
    }
    if (globals->help) {
        return help_verb(stdout, cmd, &run->out);
    }
    if (globals->version) {
        return print_version();
    }

    append_all(list, args + 1);
    if (!cmd->takes_tail) {
        append_all(list, tail);
    }
    run->arg_count = (int)list->len;
    g_ptr_array_add(list, NULL);
    g_auto(GStrv) all = (char **)g_ptr_array_steal(list, NULL);
    run->opts = opts;
    run->args = all;
    run->tail = tail;
    int status = check_count(run);
    return status ? status : cmd->exec(run);
}

/* `ox help VERB` is `ox VERB --help`. */
static void help_as_option(char ***args)
{
    if ((*args)[1] == NULL || strcmp((*args)[1], "help")) {
        return;
    }
    g_autoptr(GPtrArray) list = g_ptr_array_new();
    g_ptr_array_add(list, g_strdup((*args)[0]));
    append_all(list, *args + 2);
    g_ptr_array_add(list, g_strdup("--help"));
    g_ptr_array_add(list, NULL);
    g_strfreev(*args);
    *args = (char **)g_ptr_array_steal(list, NULL);
}

/* Reads the options before the verb; `*args` then begins with the verb. */
static int before_verb(struct run *run, struct globals *globals, char ***args, bool *stop)
{
    const struct opt_target target = { global_opts, globals };
    g_autofree char *why = NULL;
    if (!ox__options_init(&target, 1, run->strings, &why) ||
        !ox__options_parse(args, &target, 1, true, run->strings, &why)) {
        return complain_usage(run, "%s", why);
    }
    *stop = globals->version || globals->help || (*args)[1] == NULL;
    if (globals->version) {
        print_version();
    } else if (globals->help) {
        help_all(stdout, &run->out);
    } else if (*stop) {
        help_all(stderr, &run->out);
        return STATUS_USAGE;
    }
    return STATUS_DONE;
}

static int dispatch(struct run *run, char ***args, char **tail)
{
    struct globals globals = { 0 };
    bool stop = false;
    int status = before_verb(run, &globals, args, &stop);
    if (status || stop) {
        return status;
    }
    int words = 0;
    run->cmd = find_cmd(*args + 1, &words);
    if (run->cmd == NULL) {
        return unknown_verb(run, *args + 1);
    }
    return run_verb(run, &globals, *args + 1 + words, tail);
}

/* Cuts the words at "--": returns those before it; `*tail` gets those after it, or NULL. */
static char **split_tail(int argc, char **argv, char ***tail)
{
    g_autoptr(GPtrArray) list = g_ptr_array_new();
    *tail = NULL;
    for (int i = 0; i < argc; i++) {
        if (i && !strcmp(argv[i], "--")) {
            *tail = argv + i + 1;
            break;
        }
        g_ptr_array_add(list, g_strdup(argv[i]));
    }
    g_ptr_array_add(list, NULL);
    return (char **)g_ptr_array_steal(list, NULL);
}

int app_run(int argc, char **argv)
{
    /* Only LC_CTYPE follows the locale: messages and numbers do not.
     */
    setlocale(LC_CTYPE, "");
    signal(SIGPIPE, SIG_IGN);
    if (argc < 1) {
        return STATUS_USAGE;
    }
    struct run run = { .self = argv[0] };
    run.strings = g_string_chunk_new(256);
    out_init(&run.out);
    char **tail;
    g_auto(GStrv) args = split_tail(argc, argv, &tail);
    help_as_option(&args);
    int status = dispatch(&run, &args, tail);
    ox_client_free(run.client);
    g_string_chunk_free(run.strings);
    return out_finish(status);
}
