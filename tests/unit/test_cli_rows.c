/*
 * test_cli_rows.c - the tables of verbs and options, how a command line is read by them, and
 * that the manual page says what they say.
 */
#include "../support/check.h"

#include <glib.h>
#include <string.h>

#include "../support/files.h"
#include "base/suggest.h"
#include "cli/cmd.h"
#include "cli/help.h"
#include "cli/man.h"

/* ---- rows ----------------------------------------------------------------------------------
 */

static size_t size_of(enum opt_kind kind)
{
    switch (kind) {
    case OPT_FLAG:
        return sizeof(bool);
    case OPT_TEXT:
        return sizeof(char *);
    case OPT_COUNT32:
        return sizeof(uint32_t);
    case OPT_PARSED:
        return 1;
    default:
        return sizeof(int64_t);
    }
}

static void check_row(const struct cmd *cmd, const struct opt *opt)
{
    if (!opt->help || !*opt->help)
        test_fatal("%s --%s has no help", cmd->name, opt->name);
    if ((opt->kind == OPT_FLAG) != (opt->arg == NULL))
        test_fatal("%s --%s: a flag has no value, all others have one", cmd->name, opt->name);
    if ((opt->kind == OPT_PARSED) != (opt->parse != NULL))
        test_fatal("%s --%s: parse belongs to OPT_PARSED", cmd->name, opt->name);
    if (opt->optional && opt->kind != OPT_PARSED)
        test_fatal("%s --%s: an optional value has to be parsed", cmd->name, opt->name);
    if ((opt->kind == OPT_COUNT || opt->kind == OPT_COUNT32) && opt->max <= opt->min)
        test_fatal("%s --%s has no range", cmd->name, opt->name);
    if (opt->offset + size_of(opt->kind) > cmd->opts_size)
        test_fatal("%s --%s lies outside of its struct", cmd->name, opt->name);
}

/* No name twice among the tables that one verb reads. */
static void check_names(const struct cmd *cmd)
{
    const struct opt *const tables[] = { cmd->opts, cmd->more, global_opts };
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(tables); i++)
        for (const struct opt *opt = tables[i]; opt && opt->name; opt++) {
            char letter[] = { opt->letter, '\0' };
            if (!g_hash_table_add(seen, g_strdup(opt->name)) ||
                (opt->letter && !g_hash_table_add(seen, g_strdup(letter))))
                test_fatal("%s --%s is there twice", cmd->name, opt->name);
        }
}

static void verbs_are_complete(void **state)
{
    (void)state;
    size_t count = 0;
    for (const struct cmd *const *cmd = cmds; *cmd; cmd++, count++) {
        assert_non_null((*cmd)->exec);
        assert_true((*cmd)->summary && *(*cmd)->summary);
        assert_true((*cmd)->help && *(*cmd)->help);
        g_auto(GStrv) words = g_strsplit((*cmd)->usage, " ", -1);
        if ((int)g_strv_length(words) < (*cmd)->min_args)
            test_fatal("%s: the usage does not name all arguments", (*cmd)->name);
        for (const struct opt *opt = (*cmd)->opts; opt && opt->name; opt++)
            check_row(*cmd, opt);
        for (const struct opt *opt = (*cmd)->more; opt && opt->name; opt++)
            check_row(*cmd, opt);
        check_names(*cmd);
    }
    assert_true(count > 20);
}

/* Handlers are named as QUEUE=HANDLER; each that an example has must exist. */
static void check_example(const char *verb, const char *text)
{
    static const char *const handlers[] = { "image", "echo", "noop" };
    g_autoptr(GRegex) regex =
        g_regex_new("(?:^|[ '])[a-z]+=([a-z]+)(?=[ :'\n.]|$)", 0, 0, NULL);
    g_autoptr(GMatchInfo) match = NULL;
    g_regex_match(regex, text, 0, &match);
    for (; g_match_info_matches(match); g_match_info_next(match, NULL)) {
        g_autofree char *handler = g_match_info_fetch(match, 1);
        bool there = false;
        for (size_t i = 0; i < G_N_ELEMENTS(handlers); i++)
            there = there || !strcmp(handlers[i], handler);
        if (!there)
            test_fatal("%s shows a handler %s, which there is not", verb, handler);
    }
}

static void examples_use_handlers_that_exist(void **state)
{
    (void)state;
    for (const struct cmd *const *cmd = cmds; *cmd; cmd++)
        if (g_str_has_prefix((*cmd)->name, "dev")) {
            check_example((*cmd)->name, (*cmd)->help);
            check_example((*cmd)->name, (*cmd)->example);
        }
}

/* ---- reading a command line ----------------------------------------------------------------
 */

struct values {
    bool flag;
    const char *text;
    int64_t count, duration_ms, state;
    uint32_t small, behind;
    char *parsed;
};

static bool parse_it(char *text, void *out, char **why)
{
    *(const char **)out = text ? text : "left out";
    if (!g_strcmp0(text, "bad"))
        *why = g_strdup("bad is bad");
    return g_strcmp0(text, "bad") != 0;
}

static const struct opt rows[] = {
    { .name = "flag",
        .letter = 'f',
        .kind = OPT_FLAG,
        .offset = offsetof(struct values, flag),
        .help = "a flag" },
    { .name = "text",
        .letter = 't',
        .kind = OPT_TEXT,
        .offset = offsetof(struct values, text),
        .arg = "T",
        .help = "text" },
    { .name = "count",
        .kind = OPT_COUNT,
        .offset = offsetof(struct values, count),
        .max = 9,
        .fallback = 4,
        .arg = "N",
        .help = "number" },
    { .name = "small",
        .kind = OPT_COUNT32,
        .offset = offsetof(struct values, small),
        .min = 1,
        .max = UINT32_MAX,
        .fallback = 3,
        .arg = "N",
        .help = "number" },
    { .name = "duration",
        .kind = OPT_DURATION,
        .offset = offsetof(struct values, duration_ms),
        .fallback = -1,
        .arg = "TIME",
        .help = "time" },
    { .name = "state",
        .kind = OPT_CHOICE,
        STATE_CHOICE,
        .offset = offsetof(struct values, state),
        .max = STATE_BIT(OX_FAILED) | STATE_BIT(OX_COMPLETED) | STATE_BIT(OX_WAITING),
        .fallback = -1,
        .arg = "STATE",
        .help = "state" },
    { .name = "parsed",
        .kind = OPT_PARSED,
        .optional = true,
        .offset = offsetof(struct values, parsed),
        .arg = "P",
        .parse = parse_it,
        .help = "parsed" },
    { 0 },
};

/* Reads words separated by '|'. Returns what is left of them, joined again, or "! why". */
static char *read_words(const char *words, struct values *values, GStringChunk *strings)
{
    g_autofree char *line = g_strconcat("verb|", words, NULL);
    g_auto(GStrv) args = g_strsplit(*words ? line : "verb", "|", -1);
    const struct opt_target target = { rows, values };
    *values = (struct values){ 0 };
    char *why = NULL;
    if (ox__options_init(&target, 1, strings, &why) &&
        ox__options_parse(&args, &target, 1, false, strings, &why)) {
        g_autofree char *left = g_strjoinv("|", args);
        return g_strdup(left + strlen("verb"));
    }
    g_autofree char *owned = why;
    return g_strconcat("! ", owned, NULL);
}

static void expect_words(
    const char *words, struct values *values, GStringChunk *strings, const char *expected)
{
    g_autofree char *left = read_words(words, values, strings);
    if (strcmp(left, expected))
        test_fatal("\"%s\" gave \"%s\" instead of \"%s\"", words, left, expected);
}

static void values_are_read(void **state)
{
    (void)state;
    g_autoptr(GStringChunk) strings = g_string_chunk_new(64);
    struct values v = { 0 };
    expect_words("", &v, strings, "");
    assert_true(!v.flag && !v.text && !v.parsed && v.count == 4 && v.duration_ms == -1);
    assert_int_equal(v.state, -1);
    expect_words(
        "a|--flag|--text|x y|b|--count=0|--duration|5s|--state|wait", &v, strings, "|a|b");
    assert_true(v.flag && v.count == 0 && v.duration_ms == 5000 && v.state == OX_WAITING);
    assert_string_equal(v.text, "x y");
    assert_true(v.small == 3 && v.behind == 0);
    expect_words("--small=4294967295", &v, strings, "");
    assert_true(v.small == UINT32_MAX && v.behind == 0);
    expect_words("-f|-t|-x", &v, strings, "");
    assert_true(v.flag);
    assert_string_equal(v.text, "-x");
    expect_words("--text|--flag=no", &v, strings, "");
    assert_string_equal(v.text, "--flag=no");
    /* Text may be any bytes, whatever the locale. */
    expect_words("--text|\xff\xc3\xa9", &v, strings, "");
    assert_string_equal(v.text, "\xff\xc3\xa9");
    expect_words("-", &v, strings, "|-");
}

static void optional_values_need_an_equals_sign(void **state)
{
    (void)state;
    g_autoptr(GStringChunk) strings = g_string_chunk_new(64);
    struct values v = { 0 };
    expect_words("--parsed|word", &v, strings, "|word");
    assert_string_equal(v.parsed, "left out");
    expect_words("--parsed=word", &v, strings, "");
    assert_string_equal(v.parsed, "word");
    /* Nothing behind it, as an empty variable of a shell leaves, is not left out. */
    expect_words("--parsed=", &v, strings, "");
    assert_string_equal(v.parsed, "");
    expect_words("--parsed", &v, strings, "");
    assert_string_equal(v.parsed, "left out");
}

static void reports_bad_options(void **state)
{
    (void)state;
    g_autoptr(GStringChunk) strings = g_string_chunk_new(64);
    struct values v = { 0 };
    static const struct {
        const char *words, *why;
    } cases[] = {
        { "--cuont|5", "! unknown option --cuont; did you mean --count?" },
        { "--dur|5s", "! unknown option --dur; did you mean --duration?" },
        { "--zzz", "! unknown option --zzz" },
        { "-z", "! unknown option -z" },
        { "--text", "! --text needs a value" },
        { "-t", "! -t needs a value" },
        { "--count|10", "! --count: \"10\" is not a whole number from 0 to 9" },
        { "--count=", "! --count: \"\" is not a whole number from 0 to 9" },
        { "--small=0", "! --small: \"0\" is not a whole number from 1 to 4294967295" },
        { "--duration=5", "! --duration: \"5\" is not a duration such as 500ms, 10s, 5m, 2h "
                          "or 1d" },
        { "--state=active", "! --state: \"active\" is not one of completed, failed, waiting" },
        { "--state=nowhere", "! --state: \"nowhere\" is not one of completed, "
                             "failed, waiting" },
        { "--parsed=bad", "! --parsed: bad is bad" },
        { "--flag=no", "! --flag takes no value" },
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++)
        expect_words(cases[i].words, &v, strings, cases[i].why);
}

static void suggestions(void **state)
{
    (void)state;
    static const struct {
        const char *typed, *nearest;
    } cases[] = {
        { "ad", "add" },
        { "jbo", "job" },
        { "cuonts", "counts" },
        { "promot", "promote" },
        { "obliterat", "obliterate" },
        { "workres", "workers" },
        { "xyzzy", NULL },
        { "a", NULL },
        { "", NULL },
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct ox__suggestion best = { .word = cases[i].typed };
        for (const struct cmd *const *cmd = cmds; *cmd; cmd++)
            ox__suggest(&best, (*cmd)->name);
        if (g_strcmp0(best.nearest, cases[i].nearest))
            test_fatal("%s: %s", cases[i].typed, best.nearest ? best.nearest : "nothing");
    }
}

/* ---- the manual page -----------------------------------------------------------------------
 */

static char *as_roff(const char *text)
{
    g_auto(GStrv) parts = g_strsplit(text, "-", -1);
    return g_strjoinv("\\-", parts);
}

/* The section on a verb, up to the next one. Heap, or NULL. */
static char *section_on(const char *page, const char *verb)
{
    g_autofree char *pattern = g_strdup_printf("\\n\\.SS ox %s[ \\n](.*?)\\n\\.S[SH] ", verb);
    g_autoptr(GRegex) regex = g_regex_new(pattern, G_REGEX_DOTALL, 0, NULL);
    g_autoptr(GMatchInfo) match = NULL;
    assert_non_null(regex);
    g_regex_match(regex, page, 0, &match);
    return g_match_info_matches(match) ? g_match_info_fetch(match, 1) : NULL;
}

/* Judges the page by its text, not by the function that made it. */
static void manual_names_every_verb_and_option(void **state)
{
    (void)state;
    g_autofree char *page = test_read("docs/ox.1", NULL);
    assert_non_null(page);
    for (const struct cmd *const *cmd = cmds; *cmd; cmd++) {
        g_autofree char *text = section_on(page, (*cmd)->name);
        if (!text)
            test_fatal("docs/ox.1 has no section on %s", (*cmd)->name);
        const struct opt *const tables[] = { (*cmd)->opts, (*cmd)->more };
        for (size_t i = 0; i < G_N_ELEMENTS(tables); i++)
            for (const struct opt *opt = tables[i]; opt && opt->name; opt++) {
                g_autofree char *name = g_strconcat("--", opt->name, NULL);
                g_autofree char *roff = as_roff(name);
                if (!strstr(text, roff))
                    test_fatal("docs/ox.1 does not tell %s of %s", name, (*cmd)->name);
            }
    }
}

/* Also that it gets nothing: who writes a script need not try. */
static void verbs_of_streams_tell_what_a_pipe_gets(void **state)
{
    (void)state;
    const struct cmd *const *cmd = cmds;
    while (strcmp((*cmd)->name, "publish") != 0)
        cmd++;
    for (; strcmp((*cmd)->name, "dev") != 0; cmd++)
        if (!strstr((*cmd)->help, "pipe") && !strstr((*cmd)->help, "Prints"))
            test_fatal("ox %s --help does not say what a pipe gets", (*cmd)->name);
}

static void manual_is_up_to_date(void **state)
{
    (void)state;
    g_autofree char *page = test_read("docs/ox.1", NULL);
    g_autofree char *made = man_page();
    assert_non_null(page);
    if (strcmp(page, made))
        test_fatal("docs/ox.1 is not what the rows say: build/ox completion man > docs/ox.1");
}

static void wraps_long_lines(void **state)
{
    (void)state;
    g_autofree char *text = ox__wrap("aa bb cc\ndd\n\nee", 2, 7);
    assert_string_equal(text, "aa bb\n  cc\n  dd\n\n  ee");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(verbs_are_complete),
        cmocka_unit_test(examples_use_handlers_that_exist),
        cmocka_unit_test(values_are_read),
        cmocka_unit_test(optional_values_need_an_equals_sign),
        cmocka_unit_test(reports_bad_options),
        cmocka_unit_test(suggestions),
        cmocka_unit_test(manual_names_every_verb_and_option),
        cmocka_unit_test(verbs_of_streams_tell_what_a_pipe_gets),
        cmocka_unit_test(manual_is_up_to_date),
        cmocka_unit_test(wraps_long_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
