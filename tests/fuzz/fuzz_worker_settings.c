/*
 * fuzz_worker_settings.c - a settings file and what it means: values, routes, secrets.
 *
 * Input: the file. The target stands in for program.c: it lists the handlers that are linked
 * with it, and reads their options as a child would, without a process. Settings that are
 * taken keep to their bounds, and show a secret of a handler to its own children only.
 */
#include "fuzz.h"

#include <sys/mman.h>
#include <unistd.h>

#include "worker/handlers/exec.h"
#include "worker/handlers/sql.h"
#include "worker/handlers/webhook.h"
#include "worker/program.h"
#include "worker/rlimits.h"
#include "worker/settings.h"
#include "worker/settings_rows.h"

#define SECRET "5ecret"

static bool is_told; /* by the file itself */

static const struct handler *const linked[] = { &exec_handler, &sql_handler, &webhook_handler };

/* ---- in place of program.c -----------------------------------------------------------------
 */

char *program_find(const char *given, char **problem)
{
    (void)problem;
    return g_strdup(given != NULL ? given : "/usr/libexec/ox-handler");
}

static size_t count_rows(const struct opt *rows)
{
    size_t count = 0;
    while (rows[count].name != NULL) {
        count++;
    }
    return count;
}

static void add_handler(struct handler_info *info, const struct handler *handler)
{
    size_t count = count_rows(handler->opts);
    *info = (struct handler_info){ .name = handler->name,
        .summary = handler->summary,
        .memory_bytes = handler->memory_bytes,
        .max_processes = handler->max_processes,
        .opts = g_new0(struct opt, count + 1),
        .opt_count = count,
        .values = g_new0(union handler_value, count + 1),
        .secrets = (struct handler_secret *)(uintptr_t)handler->secrets };
    for (size_t i = 0; i < count; i++) {
        const struct opt *row = &handler->opts[i];
        info->opts[i] = (struct opt){ .name = row->name,
            .kind = row->kind == OPT_FLAG ? OPT_FLAG : OPT_TEXT,
            .offset = i * sizeof(union handler_value),
            .arg = row->kind == OPT_FLAG ? NULL : row->arg,
            .help = row->help };
    }
    while (info->secrets != NULL && info->secrets[info->secret_count].variable != NULL) {
        info->secret_count++;
    }
}

enum program_answer program_list(struct handler_list *list, const char *program, char **problem)
{
    (void)program, (void)problem;
    list->count = G_N_ELEMENTS(linked);
    list->items = g_new0(struct handler_info, list->count);
    for (size_t i = 0; i < list->count; i++) {
        add_handler(&list->items[i], linked[i]);
    }
    return PROGRAM_GOOD;
}

void handler_list_done(struct handler_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        g_free(list->items[i].opts);
        g_free(list->items[i].values);
    }
    g_free(list->items);
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

static const char *value_of(char **words, const char *beginning)
{
    while (*words != NULL && !g_str_has_prefix(*words, beginning)) {
        words++;
    }
    return *words != NULL ? *words + strlen(beginning) : NULL;
}

static const struct handler *find_linked(const char *name)
{
    size_t i = 0;
    while (strcmp(linked[i]->name, name) != 0) {
        i++;
        expect(i < G_N_ELEMENTS(linked));
    }
    return linked[i];
}

/* The words are right as far as options are: the handler's rows know them, and have to say
 * what is wrong with a value. */
static bool read_options(const struct handler *handler, char **words, char **problem)
{
    GStringChunk *strings = g_string_chunk_new(256);
    g_autofree void *options = g_malloc0(handler->options_size);
    const struct opt_target target = { handler->opts, options };
    g_autoptr(GPtrArray) all = g_ptr_array_new();
    g_ptr_array_add(all, g_strdup("ox-handler"));
    for (; *words != NULL; words++) {
        if (g_str_has_prefix(*words, "--") && !g_str_has_prefix(*words, "--arg=")) {
            g_ptr_array_add(all, g_strdup(*words));
        }
    }
    g_ptr_array_add(all, NULL);
    char **given = (char **)g_ptr_array_steal(all, NULL);
    bool good = ox__options_init(&target, 1, strings, problem) &&
                ox__options_parse(&given, &target, 1, false, strings, problem);
    g_strfreev(given);
    g_string_chunk_free(strings);
    return good;
}

enum program_answer program_check(
    const char *program, const struct program_start *start, char ***layers, char **problem)
{
    const struct handler *handler = find_linked(value_of(start->argv, "--handler="));
    g_autofree char *limits_text = g_strdup(value_of(start->argv, "--rlimit="));
    struct rlimits limits = { 0 };
    (void)program;
    bool good = read_options(handler, start->words, problem) &&
                rlimits_parse(limits_text, &limits, problem);
    expect(good == (*problem == NULL));
    expect(!good || (limits.cpu_ms >= 0 && limits.file_bytes >= 0 && limits.open_files >= 0));
    *layers = good ? g_strsplit("--namespace=yes", "\t", -1) : NULL;
    return good ? PROGRAM_GOOD : PROGRAM_BAD;
}

/* ---- what was read -------------------------------------------------------------------------
 */

static bool has_secret(char **words)
{
    g_autofree char *all = g_strjoinv("\n", words);
    return !is_told && strstr(all, SECRET) != NULL;
}

/* Whether the handler's own, or --pass-env, says that it gets DATABASE_URL. */
static bool may_see(const struct route_settings *route)
{
    g_auto(GStrv) passed = g_strsplit(route->pass_env != NULL ? route->pass_env : "", ",", -1);
    return g_strv_contains((const char *const *)passed, "DATABASE_URL") ||
           g_strv_contains((const char *const *)route->secrets, "DATABASE_URL");
}

static void check_child(const struct route_settings *route, bool is_hidden)
{
    g_auto(GStrv) argv = settings_child_argv(route, 1), env = settings_child_env(route),
                  words = settings_private_words(route);
    expect(!has_secret(argv));
    expect(may_see(route) || !has_secret(words));
    expect(may_see(route) || !is_hidden || !has_secret(env));
    expect(settings_same_child(route, route));
}

static void check_route(const struct route_settings *route, bool is_hidden)
{
    expect(route->handler != NULL && *route->job != '\0' && *route->origin != '\0');
    expect(route->timeout_ms >= 0 && route->timeout_ms <= UINT32_MAX);
    expect(route->recycle >= 0 && route->recycle <= UINT32_MAX && route->recycle_bytes >= 0);
    expect(route->memory_bytes >= 0);
    expect(route->max_processes >= 0 && route->max_processes <= INT32_MAX);
    check_child(route, is_hidden);
}

static bool uses_sql(const struct settings *settings)
{
    for (size_t q = 0; q < settings->queue_count; q++) {
        for (size_t r = 0; r < settings->queues[q].route_count; r++) {
            const struct route_settings *route = &settings->queues[q].routes[r];
            if (g_strv_contains((const char *const *)route->secrets, "DATABASE_URL")) {
                return true;
            }
        }
    }
    return false;
}

static void check_settings(const struct settings *settings)
{
    bool is_hidden = uses_sql(settings);
    expect(settings->queue_count > 0 && *settings->redis != '\0' && *settings->prefix != '\0');
    expect(settings->lock_ms >= 100 && settings->lock_ms <= UINT32_MAX);
    expect(settings->grace_ms >= 0 && settings->grace_ms <= UINT32_MAX);
    expect(settings->batch >= 1 && settings->batch <= 500);
    expect(settings->calls >= 1 && settings->calls <= 16);
    expect(settings->metrics >= 0 && settings->metrics <= 1000000);
    expect(settings->max_stalled == -1 || settings->max_stalled >= 1);
    expect(settings->max_started == -1 || settings->max_started >= 1);
    for (size_t q = 0; q < settings->queue_count; q++) {
        const struct queue_settings *queue = &settings->queues[q];
        expect(queue->concurrency >= 1 && queue->concurrency <= MAX_CHILDREN);
        expect(queue->limit.max >= 0 && queue->limit.duration_ms >= 0);
        expect(strchr(queue->queue, ':') == NULL && *queue->queue != '\0');
        expect(settings_queue(settings, queue->queue, queue->group) == queue);
        for (size_t r = 0; r < queue->route_count; r++) {
            check_route(&queue->routes[r], is_hidden);
            expect(settings_route(queue, queue->routes[r].job) == &queue->routes[r]);
        }
    }
}

/* A worker that runs with the defaults reads the file again. */
static void check_fixed(struct settings *settings)
{
    static struct settings *before;
    char *words[] = { (char[]){ "ox-worker" }, (char[]){ "q=exec:true" }, NULL };
    g_autoptr(GPtrArray) faults = g_ptr_array_new();
    if (before == NULL) {
        expect(settings_parse(&before, words, faults) == SETTINGS_RUN);
    }
    g_free(settings_keep_fixed(settings, before));
    expect(settings_keep_fixed(settings, before) == NULL);
    expect(strcmp(settings->redis, before->redis) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[40];
    int fd = memfd_create("config", MFD_CLOEXEC);
    expect(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    char *words[] = { (char[]){ "ox-worker" }, (char[]){ "--config" }, path, NULL };
    g_autoptr(GPtrArray) faults = g_ptr_array_new_with_free_func(g_free);
    struct settings *settings = NULL;
    is_told = size >= strlen(SECRET) && memmem(data, size, SECRET, strlen(SECRET)) != NULL;
    g_setenv("DATABASE_URL", "postgresql://ann:" SECRET "@host/db", TRUE);
    enum settings_outcome outcome = settings_parse(&settings, words, faults);
    expect(outcome != SETTINGS_DONE && (outcome == SETTINGS_RUN) == (faults->len == 0));
    for (guint i = 0; i < faults->len; i++) {
        const char *fault = faults->pdata[i];
        expect(*fault != '\0' && (is_told || strstr(fault, SECRET) == NULL));
        expect(g_utf8_validate(fault, -1, NULL));
    }
    if (outcome == SETTINGS_RUN) {
        check_settings(settings);
        check_fixed(settings);
    }
    settings_unref(settings);
    close(fd);
    return 0;
}
