/*
 * program.c - finds and questions ox-handler; see program.h.
 *
 * This happens once, before the loop runs, so it may wait. The parent is not linked with the
 * handlers and knows none of them; what is wrong with a handler's settings, the handler says.
 */
#include "program.h"

#include <glib.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ask.h"
#include "private_words.h"

#define ASK_S 30 /* for an answer, as for a child to be ready: the machine may be busy */

static const char *const places[] = { "ox-handler", "../libexec/ox-handler" };

static bool is_program(const char *path)
{
    return g_file_test(path, G_FILE_TEST_IS_REGULAR) && access(path, X_OK) == 0;
}

char *program_find(const char *given, char **problem)
{
    g_autofree char *self = g_file_read_link("/proc/self/exe", NULL);
    g_autofree char *folder = self != NULL ? g_path_get_dirname(self) : NULL;
    if (given != NULL && is_program(given)) {
        return g_canonicalize_filename(given, NULL);
    }
    for (size_t i = 0; given == NULL && folder != NULL && i < G_N_ELEMENTS(places); i++) {
        g_autofree char *path = g_canonicalize_filename(places[i], folder);
        if (is_program(path)) {
            return g_steal_pointer(&path);
        }
    }
    *problem = given != NULL ? g_strdup_printf("--handler-program: %s is not a program", given)
                             : g_strdup_printf("ox-handler is neither in %s nor in its "
                                               "../libexec",
                                   folder != NULL ? folder : "(unknown folder)");
    return NULL;
}

/* The first line of what it said, without its name. */
static char *first_line(const char *err)
{
    const char *text =
        g_str_has_prefix(err, "ox-handler: ") ? err + strlen("ox-handler: ") : err;
    return g_strndup(text, strcspn(text, "\n"));
}

/* Runs it to its end. A message is left in *problem if there is no answer. */
static enum program_answer run(const struct ask *ask, char **out, char **err, char **problem)
{
    const char *question = ask->argv[g_strv_length(ask->argv) - 1];
    g_autofree char *what = g_strdup_printf("%s %s", ask->program, question);
    int end = ask_run(ask, out, err);
    if (end == ASK_DONE || end == ASK_FAILED) {
        return end == ASK_DONE ? PROGRAM_GOOD : PROGRAM_BAD;
    }
    if (end < 0) {
        *problem = g_strdup_printf("cannot start %s: %s", what, g_strerror(-end));
    } else if (end == ASK_PASSING) {
        g_autofree char *said = first_line(*err);
        *problem = g_strdup_printf("%s: %s", what, said);
    } else if (end == ASK_LATE) {
        *problem = g_strdup_printf("%s did not end within %d s and was killed", what, ASK_S);
    } else {
        *problem = g_strdup_printf("%s was killed: the worker is told to stop", what);
    }
    return PROGRAM_PASSING;
}

/* ---- which handlers ------------------------------------------------------------------------
 */

static const char *keep(struct handler_list *list, const char *text)
{
    return g_string_chunk_insert(list->strings, text != NULL ? text : "");
}

/* NAME<tab>SUMMARY<tab>MEMORY<tab>PROCESSES<tab>RUNS<tab>USES_SERVER */
static void add_handler(struct handler_list *list, char **cells)
{
    list->items = g_renew(struct handler_info, list->items, list->count + 1);
    list->items[list->count++] = (struct handler_info){
        .name = keep(list, cells[0]),
        .summary = keep(list, cells[1]),
        .memory_bytes = g_ascii_strtoll(cells[2], NULL, 10),
        .max_processes = g_ascii_strtoll(cells[3], NULL, 10),
        .runs = (enum handler_runs)g_ascii_strtoll(cells[4], NULL, 10),
        .uses_server = strcmp(cells[5], "1") == 0,
        .opts = g_new0(struct opt, 1),
        .secrets = g_new0(struct handler_secret, 1),
    };
}

/* <tab>NAME<tab>ARG<tab>HELP: an option of the handler before; without ARG it is a flag. */
static void add_option(struct handler_list *list, char **cells)
{
    struct handler_info *handler = &list->items[list->count - 1];
    bool is_flag = *cells[2] == '\0';
    handler->opts = g_renew(struct opt, handler->opts, handler->opt_count + 2);
    handler->opts[handler->opt_count] = (struct opt){
        .name = keep(list, cells[1]),
        .kind = is_flag ? OPT_FLAG : OPT_TEXT,
        .offset = handler->opt_count * sizeof(union handler_value),
        .arg = is_flag ? NULL : keep(list, cells[2]),
        .help = keep(list, cells[3]),
    };
    handler->opts[++handler->opt_count] = (struct opt){ 0 };
}

/* <tab><tab>VARIABLE<tab>OPTION: a secret of the handler before. */
static void add_secret(struct handler_list *list, char **cells)
{
    struct handler_info *handler = &list->items[list->count - 1];
    handler->secrets =
        g_renew(struct handler_secret, handler->secrets, handler->secret_count + 2);
    handler->secrets[handler->secret_count] = (struct handler_secret){
        .variable = keep(list, cells[2]),
        .option = *cells[3] != '\0' ? keep(list, cells[3]) : NULL,
    };
    handler->secrets[++handler->secret_count] = (struct handler_secret){ 0 };
}

static void read_line(struct handler_list *list, const char *line)
{
    g_auto(GStrv) cells = g_strsplit(line, "\t", *line == '\t' ? 4 : 6);
    guint count = g_strv_length(cells);
    if (count == 6) {
        add_handler(list, cells);
    } else if (count == 4 && *cells[0] == '\0' && *cells[1] != '\0' && list->count > 0) {
        add_option(list, cells);
    } else if (count == 4 && *cells[2] != '\0' && list->count > 0) {
        add_secret(list, cells);
    }
}

enum program_answer program_list(struct handler_list *list, const char *program, char **problem)
{
    g_autofree char *out = NULL, *err = NULL;
    char *argv[] = { (char *)(uintptr_t)program, (char[]){ "--list" }, NULL };
    *list = (struct handler_list){ .strings = g_string_chunk_new(1024) };
    const struct ask ask = {
        .program = program, .argv = argv, .stdin_fd = -1, .deadline_ms = ASK_S * 1000
    };
    enum program_answer answer = run(&ask, &out, &err, problem);
    if (answer == PROGRAM_BAD) {
        g_autofree char *said = first_line(err);
        *problem = g_strdup_printf("%s does not list its handlers: %s", program, said);
    }
    if (answer != PROGRAM_GOOD) {
        return answer;
    }
    g_auto(GStrv) lines = g_strsplit(out, "\n", -1);
    for (char **line = lines; *line != NULL; line++) {
        read_line(list, *line);
    }
    for (size_t i = 0; i < list->count; i++) {
        list->items[i].values = g_new0(union handler_value, list->items[i].opt_count + 1);
    }
    return PROGRAM_GOOD;
}

void handler_list_done(struct handler_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        g_free(list->items[i].opts);
        g_free(list->items[i].values);
        g_free(list->items[i].secrets);
    }
    g_free(list->items);
    if (list->strings != NULL) {
        g_string_chunk_free(list->strings);
    }
    *list = (struct handler_list){ 0 };
}

const struct handler_info *handler_list_find(const struct handler_list *list, const char *name)
{
    for (size_t i = 0; i < list->count; i++) {
        if (strcmp(list->items[i].name, name) == 0) {
            return &list->items[i];
        }
    }
    return NULL;
}

/* ---- whether one would start ---------------------------------------------------------------
 */

/* Words behind PROGRAM_LAYERS, whatever else a library has printed. */
static char **read_layers(const char *out)
{
    g_auto(GStrv) lines = g_strsplit(out, "\n", -1);
    for (char **line = lines; *line != NULL; line++) {
        if (g_str_has_prefix(*line, PROGRAM_LAYERS)) {
            return g_strsplit(*line + strlen(PROGRAM_LAYERS), "\t", -1);
        }
    }
    return g_new0(char *, 1);
}

enum program_answer program_check(
    const char *program, const struct program_start *start, char ***layers, char **problem)
{
    g_autofree char *out = NULL, *err = NULL;
    g_autoptr(GPtrArray) all = g_ptr_array_new();
    int fd = private_words_send(start->words);
    if (fd < 0) {
        *problem = g_strdup_printf("its settings cannot be sent: %s", g_strerror(-fd));
        return PROGRAM_PASSING;
    }
    for (char **word = start->argv; *word != NULL; word++) {
        g_ptr_array_add(all, *word);
    }
    g_ptr_array_add(all, (char[]){ "--check" });
    g_ptr_array_add(all, NULL);
    const struct ask ask = { program, (char **)all->pdata, start->env, fd, ASK_S * 1000 };
    enum program_answer answer = run(&ask, &out, &err, problem);
    close(fd);
    if (answer == PROGRAM_GOOD) {
        *layers = read_layers(out);
        if (*err != '\0') { /* what is no reason not to start */
            fprintf(stderr, "ox-worker: %s", err);
        }
    } else if (answer == PROGRAM_BAD) {
        *problem = first_line(err);
    }
    return answer;
}
