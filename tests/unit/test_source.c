/*
 * test_source.c - rules about the source itself: who may include whom, which calls are
 * banned, and that the installer knows every library that the makefile asks for.
 *
 * Reads the source tree; runs from its top folder.
 */
#include "../support/check.h"

#include <glib.h>
#include <string.h>

#include "../support/files.h"

static bool is_c(const char *name)
{
    return g_str_has_suffix(name, ".c") || g_str_has_suffix(name, ".h");
}

/* Adds the C files below a folder. */
static void collect(GPtrArray *files, const char *folder)
{
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    const char *name;
    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(folder, name, NULL);
        if (g_file_test(path, G_FILE_TEST_IS_DIR) && strcmp(name, "node_modules") != 0)
            collect(files, path);
        else if (is_c(name))
            g_ptr_array_add(files, g_steal_pointer(&path));
    }
}

static GPtrArray *files_of(const char *folder)
{
    GPtrArray *files = g_ptr_array_new_with_free_func(g_free);
    collect(files, folder);
    if (files->len == 0)
        test_fatal("no source in %s: run this from the top folder", folder);
    return files;
}

/* The source without comments and without what stands in strings. */
static char *code_of(const char *path)
{
    g_autofree char *text = test_read(path, NULL);
    g_autoptr(GRegex) regex =
        g_regex_new("/\\*.*?\\*/|//[^\\n]*|(?<!include )\"(?:[^\"\\\\\\n]|\\\\.)*\"",
            G_REGEX_DOTALL, 0, NULL);
    assert_non_null(text);
    assert_non_null(regex);
    char *code = g_regex_replace_literal(regex, text, -1, 0, " ", 0, NULL);
    assert_non_null(code);
    return code;
}

/* Adds "PATH: MATCH" for every match of the pattern's first group that `allowed` refuses. */
static void find(GString *wrong, const char *path, const char *pattern,
    bool (*allowed)(const char *path, const char *match))
{
    g_autofree char *code = code_of(path);
    g_autoptr(GRegex) regex = g_regex_new(pattern, G_REGEX_MULTILINE, 0, NULL);
    g_autoptr(GMatchInfo) match = NULL;
    assert_non_null(regex);
    for (g_regex_match(regex, code, 0, &match); g_match_info_matches(match);
         g_match_info_next(match, NULL)) {
        g_autofree char *word = g_match_info_fetch(match, 1);
        if (!allowed || !allowed(path, word))
            g_string_append_printf(wrong, "%s: %s; ", path, word);
    }
}

static void expect_none(const GString *wrong)
{
    if (wrong->len)
        test_fatal("%.900s", wrong->str);
}

/* The folders of lib from the bottom up: a file includes its own folder and those below it. */
static const char *const floors[] = { "base", "cron", "wire", "queue", "engine", "events" };

static int floor_of(const char *path)
{
    for (size_t i = 0; i < G_N_ELEMENTS(floors); i++) {
        size_t len = strlen(floors[i]);
        if (g_str_has_prefix(path, floors[i]) && path[len] == '/')
            return (int)i;
    }
    return -1;
}

/* A quoted include is a file of lib/base, the ground that has no Redis in it; or of the same
 * part: in lib a folder that is not above, else beside the file or in the part's top folder.
 * The generated headers belong to lib. */
static bool same_part(const char *path, const char *include)
{
    g_autofree char *beside = g_path_get_dirname(path);
    g_auto(GStrv) parts = g_strsplit(path, "/", 2);
    g_autofree char *near = g_build_filename(beside, include, NULL);
    g_autofree char *top = g_build_filename(parts[0], include, NULL);
    g_autofree char *in_lib = g_build_filename("lib", include, NULL);
    int floor = floor_of(include);
    if (strstr(include, ".."))
        return false;
    if (!strcmp(parts[0], "lib") &&
        (!strcmp(include, "scripts.h") || !strcmp(include, "codes.h")))
        return floor_of(parts[1]) > 0;
    if (floor >= 0)
        return g_file_test(in_lib, G_FILE_TEST_EXISTS) &&
               floor <= (strcmp(parts[0], "lib") ? 0 : floor_of(parts[1]));
    return strcmp(parts[0], "lib") &&
           (g_file_test(near, G_FILE_TEST_EXISTS) || g_file_test(top, G_FILE_TEST_EXISTS));
}

static void parts_include_only_lower_parts(void **state)
{
    (void)state;
    static const char *const parts[] = { "lib", "cli", "worker" };
    g_autoptr(GString) wrong = g_string_new(NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(parts); i++) {
        g_autoptr(GPtrArray) files = files_of(parts[i]);
        for (guint j = 0; j < files->len; j++)
            find(wrong, files->pdata[j], "^\\s*#\\s*include \"([^\"]+)\"", same_part);
    }
    expect_none(wrong);
}

/* ---- circles ----------------------------------------------------------------------------- */

/* The files of lib by their names without .c and .h: a source and its header are one. Each with
 * the set of those that it names, by an include or by a function that is defined there. */
static GHashTable *named_by;
static GHashTable *definers; /* function -> file */

static char *without_suffix(const char *path)
{
    return g_strndup(path, strlen(path) - 2);
}

/* Calls `see` for each match of the pattern's first group in a source. */
static void each_match(const char *code, const char *pattern, const char *file,
    void (*see)(const char *file, const char *word))
{
    g_autoptr(GRegex) regex = g_regex_new(pattern, G_REGEX_MULTILINE, 0, NULL);
    g_autoptr(GMatchInfo) match = NULL;
    assert_non_null(regex);
    for (g_regex_match(regex, code, 0, &match); g_match_info_matches(match);
         g_match_info_next(match, NULL)) {
        g_autofree char *word = g_match_info_fetch(match, 1);
        see(file, word);
    }
}

static void see_definition(const char *file, const char *word)
{
    g_hash_table_insert(definers, g_strdup(word), g_strdup(file));
}

static void add_arrow(const char *file, const char *to)
{
    if (strcmp(file, to) != 0)
        g_hash_table_add(g_hash_table_lookup(named_by, file), g_strdup(to));
}

static void see_name(const char *file, const char *word)
{
    const char *to = g_hash_table_lookup(definers, word);
    if (to)
        add_arrow(file, to);
}

static void see_include(const char *file, const char *word)
{
    g_autofree char *path = g_build_filename("lib", word, NULL);
    g_autofree char *to = without_suffix(path);
    if (g_hash_table_contains(named_by, to))
        add_arrow(file, to);
}

/* Goes along the arrows; a file that is met again before it is left closes a circle. */
static void follow(const char *file, GPtrArray *way, GHashTable *left, GString *wrong)
{
    GHashTableIter iter;
    gpointer to;
    for (guint i = 0; i < way->len; i++) {
        if (strcmp(way->pdata[i], file) == 0) {
            for (; i < way->len; i++)
                g_string_append_printf(wrong, "%s -> ", (char *)way->pdata[i]);
            g_string_append_printf(wrong, "%s; ", file);
            return;
        }
    }
    if (g_hash_table_contains(left, file))
        return;
    g_ptr_array_add(way, (gpointer)file);
    g_hash_table_iter_init(&iter, g_hash_table_lookup(named_by, file));
    while (g_hash_table_iter_next(&iter, &to, NULL))
        follow(to, way, left, wrong);
    g_ptr_array_remove_index(way, way->len - 1);
    g_hash_table_add(left, (gpointer)file);
}

static void read_arrows(GPtrArray *files)
{
    g_autoptr(GPtrArray) codes = g_ptr_array_new_with_free_func(g_free);
    for (guint i = 0; i < files->len; i++) {
        const char *path = files->pdata[i];
        g_autofree char *file = without_suffix(path);
        char *code = code_of(path);
        g_ptr_array_add(codes, code);
        if (!g_hash_table_contains(named_by, file))
            g_hash_table_insert(named_by, g_strdup(file),
                g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL));
        if (g_str_has_suffix(path, ".c"))
            each_match(
                code, "^(?!static|typedef)[a-z][\\w *]*\\b(ox_\\w+)\\(", file, see_definition);
    }
    for (guint i = 0; i < files->len; i++) {
        g_autofree char *file = without_suffix(files->pdata[i]);
        if (g_str_has_suffix(files->pdata[i], ".c"))
            each_match(codes->pdata[i], "\\b(ox_\\w+)", file, see_name);
        each_match(codes->pdata[i], "^\\s*#\\s*include \"([^\"]+)\"", file, see_include);
    }
}

/* No file of lib includes or calls one that comes back to it, over however many others. */
static void no_dependency_cycles(void **state)
{
    (void)state;
    g_autoptr(GPtrArray) files = files_of("lib");
    g_autoptr(GPtrArray) way = g_ptr_array_new();
    g_autoptr(GHashTable) left = g_hash_table_new(g_str_hash, g_str_equal);
    g_autoptr(GString) wrong = g_string_new(NULL);
    GHashTableIter iter;
    gpointer file;
    named_by = g_hash_table_new_full(
        g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_hash_table_destroy);
    definers = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    read_arrows(files);
    assert_true(g_hash_table_size(definers) > 100);
    g_hash_table_iter_init(&iter, named_by);
    while (g_hash_table_iter_next(&iter, &file, NULL))
        follow(file, way, left, wrong);
    g_hash_table_destroy(definers);
    g_hash_table_destroy(named_by);
    expect_none(wrong);
}

static bool knows_scripts(const char *path, const char *match)
{
    (void)match;
    return strcmp(path, "lib/engine/jobs_backend.c") == 0 ||
           strcmp(path, "lib/engine/jobs_take.c") == 0 ||
           strcmp(path, "lib/engine/job_ops.c") == 0;
}

/* An engine asks the server through a backend, so it serves others than jobs as well. */
static void only_the_backend_knows_scripts(void **state)
{
    (void)state;
    g_autoptr(GPtrArray) files = files_of("lib/engine");
    g_autoptr(GString) wrong = g_string_new(NULL);
    for (guint i = 0; i < files->len; i++)
        find(wrong, files->pdata[i], "(include \"scripts.h\"|\\box__script_\\w+\\s*[,;)])",
            knows_scripts);
    expect_none(wrong);
}

/* ---- names ------------------------------------------------------------------------------- */

/* The text of all headers of lib/base: the names that programs may use. */
static char *base_headers;

static bool is_name_of_base(const char *path, const char *match)
{
    (void)path;
    g_autofree char *word = g_strdup_printf("\\b%s\\b", match);
    return g_str_has_prefix(match, "ox__") && g_regex_match_simple(word, base_headers, 0, 0);
}

/* Functions across the files of lib are ox__..., those of lib/base too, which programs may
 * call; any other is the library's own. A header of lib reached with <> would pass the rule
 * above. */
static void programs_see_one_header_of_the_library(void **state)
{
    (void)state;
    g_autoptr(GString) wrong = g_string_new(NULL);
    g_autoptr(GString) headers = g_string_new(NULL);
    g_autoptr(GPtrArray) base = files_of("lib/base");
    for (guint i = 0; i < base->len; i++) {
        g_autofree char *code = code_of(base->pdata[i]);
        if (g_str_has_suffix(base->pdata[i], ".h"))
            g_string_append(headers, code);
    }
    base_headers = headers->str;
    static const char *const parts[] = { "cli", "worker" };
    for (size_t i = 0; i < G_N_ELEMENTS(parts); i++) {
        g_autoptr(GPtrArray) files = files_of(parts[i]);
        for (guint j = 0; j < files->len; j++)
            find(wrong, files->pdata[j], "\\b(ox__\\w+|include <(?:lib/|\\.\\.)[^>]*>)",
                is_name_of_base);
    }
    expect_none(wrong);
}

static void no_banned_calls(void **state)
{
    (void)state;
    static const char *const folders[] = { "lib", "cli", "worker", "tests", "docs" };
    g_autoptr(GString) wrong = g_string_new(NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(folders); i++) {
        g_autoptr(GPtrArray) files = files_of(folders[i]);
        for (guint j = 0; j < files->len; j++)
            find(wrong, files->pdata[j],
                "\\b((?:strcpy|strcat|sprintf|vsprintf|strtok|atoi|atol|atoll|atof|system|"
                "popen|gets|ctime|asctime)\\s*\\()",
                NULL);
    }
    expect_none(wrong);
}

/* Each pkg-config module of the makefile is a need of tests/support/deps.sh. (What is said by
 * "$(..)" stands in another list.) */
static void installer_knows_every_library(void **state)
{
    (void)state;
    g_autofree char *makefile = test_read("Makefile", NULL);
    g_autofree char *installer = test_read("tests/support/deps.sh", NULL);
    g_autoptr(GRegex) line =
        g_regex_new("^\\w+_PKGS\\w*\\s*:=(.*)$", G_REGEX_MULTILINE, 0, NULL);
    g_autoptr(GRegex) reference = g_regex_new("\\$(\\((?:[^()]|(?1))*\\))", 0, 0, NULL);
    g_autoptr(GMatchInfo) match = NULL;
    unsigned known = 0;
    assert_non_null(makefile);
    assert_non_null(installer);
    for (g_regex_match(line, makefile, 0, &match); g_match_info_matches(match);
         g_match_info_next(match, NULL)) {
        g_autofree char *given = g_match_info_fetch(match, 1);
        g_autofree char *list = g_regex_replace_literal(reference, given, -1, 0, "", 0, NULL);
        g_auto(GStrv) modules = g_strsplit_set(list, " \t", -1);
        for (char **module = modules; *module; module++) {
            g_autofree char *need = g_strdup_printf("\nmodule:%s:", *module);
            if (!**module)
                continue;
            if (!strstr(installer, need))
                test_fatal("tests/support/deps.sh does not install %s", *module);
            known++;
        }
    }
    assert_true(known > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_include_only_lower_parts),
        cmocka_unit_test(no_dependency_cycles),
        cmocka_unit_test(only_the_backend_knows_scripts),
        cmocka_unit_test(programs_see_one_header_of_the_library),
        cmocka_unit_test(no_banned_calls),
        cmocka_unit_test(installer_knows_every_library),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
