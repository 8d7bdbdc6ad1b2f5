/*
 * test_header.c - the public face of the library: its headers in every language that may read
 * them, and the symbols of the shared library, which are their functions and no others.
 *
 * Runs the compiler and nm; from the top folder of the source.
 */
#include "../support/check.h"

#include <glib.h>
#include <ox.h>
#include <string.h>

#include "../support/files.h"
#include "../support/process.h"

static void compile_one(
    const char *compiler, const char *language, const char *standard, const char *name)
{
    const char *const argv[] = { compiler, standard, "-x", language, "-Wall", "-Wextra",
        "-Wpedantic", "-Wshadow", "-Wconversion", "-Wundef", "-Werror", "-fsyntax-only",
        "-Ilib/include", "-", NULL };
    g_autofree char *err = NULL;

    /* Twice, because a header that cannot be included twice is broken; first, because it
     * brings along what it needs, and the whole library with it. */
    g_autofree char *text = g_strdup_printf(
        "#include <%s>\n#include <%s>\n"
        "int main(void) { static ox_client_options o; return (int)o.command_timeout_ms; }\n",
        name, name);
    int status = test_run(argv, text, NULL, &err);
    if (status)
        test_fatal("%s %s %s: %s", compiler, standard, name, err);
}

static void compile(const char *compiler, const char *language, const char *standard)
{
    g_autoptr(GDir) dir = g_dir_open("lib/include", 0, NULL);
    const char *name;
    assert_non_null(dir);
    while ((name = g_dir_read_name(dir)))
        compile_one(compiler, language, standard, name);
}

static const char *c_compiler(void)
{
    const char *cc = g_getenv("CC");
    return cc && *cc ? cc : "cc";
}

static void compiles_as_c99(void **state)
{
    (void)state;
    compile(c_compiler(), "c", "-std=c99");
}

static void compiles_as_c11(void **state)
{
    (void)state;
    compile(c_compiler(), "c", "-std=c11");
}

static void compiles_as_cxx(void **state)
{
    (void)state;
    compile("c++", "c++", "-std=c++11");
    compile("c++", "c++", "-std=c++17");
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The names that the pattern's first group finds, sorted. */
static GPtrArray *names_in(const char *text, const char *pattern)
{
    GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GRegex) regex = g_regex_new(pattern, G_REGEX_MULTILINE, 0, NULL);
    g_autoptr(GMatchInfo) match = NULL;
    assert_non_null(regex);
    for (g_regex_match(regex, text, 0, &match); g_match_info_matches(match);
         g_match_info_next(match, NULL))
        g_ptr_array_add(names, g_match_info_fetch(match, 1));
    g_ptr_array_sort(names, by_name);
    return names;
}

/* Appends the names of `a` that are not in `b`. */
static void missing_from(GString *out, const char *say, const GPtrArray *a, const GPtrArray *b)
{
    for (guint i = 0; i < a->len; i++) {
        bool found = false;
        for (guint j = 0; j < b->len && !found; j++)
            found = !strcmp(a->pdata[i], b->pdata[j]);
        if (!found)
            g_string_append_printf(out, "%s %s; ", say, (char *)a->pdata[i]);
    }
}

static void exports_what_the_headers_declare(void **state)
{
    (void)state;
    g_autofree char *header = test_headers();
    g_autofree char *library = g_build_filename(test_build_dir(), "libox.so", NULL);
    g_autofree char *symbols = NULL;
    g_autofree char *err = NULL;
    assert_int_equal(
        test_run_words(&symbols, &err, "nm", "-D", "--defined-only", library, NULL), 0);
    g_autoptr(GPtrArray) declared = names_in(header, "^OX_API [^;(]*\\b(\\w+)\\(");
    /* A sanitizer exports marks of its own beside every name. */
    g_autoptr(GPtrArray) exported = names_in(symbols, "^\\w+ [A-Za-z] (?!__odr_asan)(\\S+)$");
    g_autoptr(GString) wrong = g_string_new(NULL);
    missing_from(wrong, "not exported:", declared, exported);
    missing_from(wrong, "not in a header:", exported, declared);
    if (wrong->len)
        test_fatal("%.900s", wrong->str);
    assert_true(declared->len > 0);
}

static void has_version_numbers_and_text(void **state)
{
    g_autofree char *numbers =
        g_strdup_printf("%d.%d.%d", OX_VERSION_MAJOR, OX_VERSION_MINOR, OX_VERSION_PATCH);
    (void)state;
    assert_string_equal(numbers, OX_VERSION);
    assert_string_equal(ox_version(), OX_VERSION);
}

/* Those that the library makes, which may get longer: callers have pointers to them. (Of an
 * error the text is cut to fit; counts have room for more states.) */
static const char *const made_inside[] = { "ox_error", "ox_job_update", "ox_child",
    "ox_metrics", "ox_worker_info", "ox_scheduler", "ox_run_end", "ox_counts" };

/* A struct that callers make has room to grow without a change of its size. */
static void option_structs_have_a_reserve(void **state)
{
    (void)state;
    g_autofree char *header = test_headers();
    g_autoptr(GRegex) regex = g_regex_new("^typedef struct (\\w+) \\{(.*?)^\\} \\1;",
        G_REGEX_MULTILINE | G_REGEX_DOTALL, 0, NULL);
    g_autoptr(GMatchInfo) match = NULL;
    size_t structs = 0;
    assert_non_null(regex);
    for (g_regex_match(regex, header, 0, &match); g_match_info_matches(match);
         g_match_info_next(match, NULL), structs++) {
        g_autofree char *name = g_match_info_fetch(match, 1);
        g_autofree char *body = g_match_info_fetch(match, 2);
        bool inside = false;
        for (size_t i = 0; i < G_N_ELEMENTS(made_inside) && !inside; i++)
            inside = strcmp(made_inside[i], name) == 0;
        if ((strstr(body, "uint64_t reserved[") != NULL) == inside)
            test_fatal("%s: callers make it and it has no reserve, or the other way", name);
    }
    assert_true(structs >= 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(compiles_as_c99),
        cmocka_unit_test(compiles_as_c11),
        cmocka_unit_test(compiles_as_cxx),
        cmocka_unit_test(exports_what_the_headers_declare),
        cmocka_unit_test(option_structs_have_a_reserve),
        cmocka_unit_test(has_version_numbers_and_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
