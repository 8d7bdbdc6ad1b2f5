/*
 * test_cli_out.c - text, times, tables and JSON on their way out.
 */
#include "../support/check.h"

#include <fcntl.h>
#include <glib.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../support/files.h"
#include "base/stored.h"
#include "cli/json.h"
#include "cli/out.h"
#include "cli/records.h"
#include "cli/table.h"

/* Takes a heap string, so that a call can stand where it is checked. */
static void expect_text(char *given, const char *expected)
{
    g_autofree char *text = given;
    if (g_strcmp0(text, expected))
        test_fatal("\"%s\" instead of \"%s\"", text, expected);
}

static void spans_and_numbers(void **state)
{
    (void)state;
    expect_text(span_text(0), "0ms");
    expect_text(span_text(-5), "0ms");
    expect_text(span_text(999), "999ms");
    expect_text(span_text(1250), "1.2s");
    expect_text(span_text(59999), "59.9s");
    expect_text(span_text(60000), "1m");
    expect_text(span_text(200000), "3m 20s");
    expect_text(span_text(7500000), "2h 5m");
    expect_text(span_text(INT64_C(97) * 3600000), "4d 1h");
    expect_text(span_text(INT64_C(800) * 86400000), "2y 70d");
    expect_text(number_grouped(0), "0");
    expect_text(number_grouped(999), "999");
    expect_text(number_grouped(1000), "1,000");
    expect_text(number_grouped(-1234567), "-1,234,567");
}

static void points_in_time(void **state)
{
    (void)state;
    const int64_t now = INT64_C(1769860800000);
    expect_text(time_relative(now, now), "now");
    expect_text(time_relative(now - 999, now), "now");
    expect_text(time_relative(now - 42000, now), "42s ago");
    expect_text(time_relative(now - 200000, now), "3m ago");
    expect_text(time_relative(now + 5000, now), "in 5s");
    expect_text(time_relative(now + INT64_C(86400000) * 3, now), "in 3d");
    expect_text(time_iso(now + 7), "2026-01-31T12:00:00.007Z");
    /* Stored times may be anything. */
    expect_text(time_iso(INT64_MAX), "9223372036854775807ms");
    expect_text(time_iso(-1), "-1ms");
}

static void untrusted_text(void **state)
{
    (void)state;
    expect_text(text_clean("a\033[31mb"), "a␛[31mb");
    expect_text(text_clean("a\nb\tc\x7f"), "a␊b␉c\xef\xbf\xbd");
    expect_text(text_clean("a\xff"), "a\xef\xbf\xbd");
    /* A right-to-left override would turn the rest of the line around. */
    expect_text(text_clean("a\xe2\x80\xae"), "a\xef\xbf\xbd");
    expect_text(text_clean_lines("a\nb\tc\033"), "a\nb\tc␛");
    expect_text(text_cut("hello", 5), "hello");
    expect_text(text_cut("hello!", 5), "hell…");
    expect_text(text_cut("日本語", 6), "日本語");
    expect_text(text_cut("日本語", 5), "日本…");
    expect_text(text_cut("日本語", 4), "日…");
    assert_int_equal(text_width("日本語"), 6);
    assert_int_equal(text_width("e\xcc\x81"), 1);
}

/* ---- what is printed -----------------------------------------------------------------------
 */

/* Sends stdout into a file while `print` runs. The text is the caller's. */
static char *captured(void (*print)(const struct out *out), const struct out *out)
{
    g_autofree char *dir = test_dir_new();
    g_autofree char *path = g_build_filename(dir, "out", NULL);
    fflush(stdout);
    int saved = dup(STDOUT_FILENO);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(saved >= 0 && fd >= 0);
    dup2(fd, STDOUT_FILENO);
    print(out);
    fflush(stdout);
    dup2(saved, STDOUT_FILENO);
    close(saved);
    close(fd);
    char *text = test_read(path, NULL);
    test_remove(dir);
    return text;
}

static const struct column columns[] = { { .title = "ID" },
    { .title = "JOBS", .flags = COLUMN_RIGHT }, { .title = "DATA", .flags = COLUMN_FLEX },
    { .title = "RARE", .flags = COLUMN_RARE } };

static void print_two_rows(const struct out *out)
{
    struct table *table = table_new(columns, G_N_ELEMENTS(columns), out);
    table_cell(table, "日本", TINT_RED);
    table_number(table, 12345);
    table_cell(table, "a long\ttext with\nbreaks and \033[31mcolours of its own", TINT_NONE);
    table_cell(table, NULL, TINT_NONE);
    table_cell(table, "x", TINT_NONE);
    table_number(table, 7);
    table_cell(table, "", TINT_NONE);
    table_cell(table, "", TINT_NONE);
    table_end(table);
}

static void tables_on_a_wide_terminal(void **state)
{
    (void)state;
    const struct out out = { .terminal = true, .width = 30 };
    expect_text(captured(print_two_rows, &out), "ID      JOBS  DATA\n"
                                                "日本  12,345  a long␉text wit…\n"
                                                "x          7  \n");
}

static void print_wide_row(const struct out *out)
{
    static const struct column wide[] = { { .title = "ID" },
        { .title = "NONE", .flags = COLUMN_RIGHT | COLUMN_RARE },
        { .title = "TRIES", .flags = COLUMN_SPARE }, { .title = "WHY", .flags = COLUMN_FLEX },
        { .title = "DATA", .flags = COLUMN_SPARE } };
    struct table *table = table_new(wide, G_N_ELEMENTS(wide), out);
    table_cell(table, "0123456789-0123456789", TINT_NONE);
    table_number(table, 0);
    table_cell(table, "1/3", TINT_NONE);
    table_cell(table, "it went wrong", TINT_NONE);
    table_cell(table, "{}", TINT_NONE);
    table_end(table);
}

/* A row stays one line: what may be cut is, then what can be spared goes, the last one first,
 * then even an id is cut. A number that is 0 everywhere is no news. */
static void tables_on_narrow_terminals(void **state)
{
    (void)state;
    const struct out out[] = { { .terminal = true, .width = 80 },
        { .terminal = true, .width = 44 }, { .terminal = true, .width = 38 },
        { .terminal = true, .width = 24 } };
    expect_text(captured(print_wide_row, &out[0]),
        "ID                     TRIES  WHY            DATA\n"
        "0123456789-0123456789  1/3    it went wrong  {}\n");
    expect_text(captured(print_wide_row, &out[1]),
        "ID                     TRIES  WHY       DATA\n"
        "0123456789-0123456789  1/3    it went…  {}\n");
    expect_text(captured(print_wide_row, &out[2]), "ID                     TRIES  WHY\n"
                                                   "0123456789-0123456789  1/3    it went…\n");
    expect_text(captured(print_wide_row, &out[3]), "ID              WHY\n"
                                                   "0123456789-01…  it went…\n");
}

static void tables_in_colour(void **state)
{
    (void)state;
    const struct out out = { .terminal = true, .color = true, .width = 80 };
    g_autofree char *text = captured(print_two_rows, &out);
    assert_non_null(strstr(text, "\033[31m日本\033[0m"));
    assert_non_null(strstr(text, "and ␛[31mcolours"));
}

static void tables_in_a_pipe(void **state)
{
    (void)state;
    const struct out out = { .width = 30 };
    expect_text(captured(print_two_rows, &out),
        "日本\t12345\ta long text with breaks and \033[31mcolours of its own\t\nx\t7\t\t\n");
}

static void print_nothing(const struct out *out)
{
    table_end(table_new(columns, G_N_ELEMENTS(columns), out));
}

static void empty_tables_print_nothing(void **state)
{
    (void)state;
    const struct out out = { .terminal = true, .width = 30 };
    expect_text(captured(print_nothing, &out), "");
}

/* ---- records -------------------------------------------------------------------------------
 */

enum { ID, SECRET, JOBS, STATE, AGE, OPEN, MORE, FIELD_COUNT };
static const struct field record_fields[FIELD_COUNT] = {
    [ID] = { .title = "ID", .key = "id", .kind = FIELD_TEXT, .flags = COLUMN_ID },
    [SECRET] = { .key = "secret", .kind = FIELD_JSON, .flags = FIELD_OPTIONAL },
    [JOBS] = { .title = "JOBS", .key = "jobs", .kind = FIELD_NUMBER, .rank = 1 },
    [STATE] = { .title = "STATE", .kind = FIELD_TEXT, .none = "(none)" },
    [AGE] = { .title = "AGE", .key = "age", .kind = FIELD_SECONDS, .flags = FIELD_NO_PIPE },
    [OPEN] = { .title = "", .key = "open", .kind = FIELD_BOOL },
    [MORE] = { .key = "", .kind = FIELD_MEMBERS },
};

static void feed(const struct out *out, enum records_shape shape, bool json)
{
    const struct records_style style = { .fields = record_fields,
        .count = FIELD_COUNT,
        .shape = shape,
        .titles = { "FACT", "VALUE" } };
    const struct run run = { .out = *out, .json = json };
    struct records *records = records_new(&run, &style);
    records_add(records, (const struct value[FIELD_COUNT]){
                             [ID] = { .text = "a\tb" },
                             [SECRET] = { .text = " [ 1 ] " },
                             [JOBS] = { .number = 1234 },
                             [STATE] = { .text = "on" },
                             [AGE] = { .number = 65 },
                             [OPEN] = { .number = 1 },
                             [MORE] = { .text = "{\"x\":1}" },
                         });
    if (shape != RECORDS_CARD)
        records_add(records, (const struct value[FIELD_COUNT]){
                                 [ID] = { .text = "c" },
                                 [JOBS] = { .number = 0, .shown = "none" },
                                 [MORE] = { .text = "{}" },
                             });
    assert_int_equal(records_end(records), shape == RECORDS_CARD ? 1 : 2);
}

static void feed_table(const struct out *out)
{
    feed(out, RECORDS_ROWS, false);
}

static void feed_json(const struct out *out)
{
    feed(out, RECORDS_ROWS, true);
}

static void feed_keyed_json(const struct out *out)
{
    feed(out, RECORDS_KEYED, true);
}

static void feed_card(const struct out *out)
{
    feed(out, RECORDS_CARD, false);
}

static void records_in_each_shape(void **state)
{
    (void)state;
    const struct out terminal = { .terminal = true, .width = 60 }, pipe = { 0 };
    expect_text(captured(feed_table, &terminal), "ID   STATE   AGE          JOBS\n"
                                                 "a␉b  on      1m 5s  open  1,234\n"
                                                 "c    (none)  0ms          none\n");
    expect_text(captured(feed_table, &pipe), "a\\tb\ton\topen\t1234\nc\t\t\tnone\n");
    expect_text(captured(feed_json, &pipe),
        "{\"id\":\"a\\tb\",\"secret\":[1],\"jobs\":1234,\"age\":65,\"open\":true,\"x\":1}\n"
        "{\"id\":\"c\",\"jobs\":0,\"age\":0,\"open\":false}\n");
    expect_text(captured(feed_card, &pipe), "ID\ta b\nSTATE\ton\n\topen\nJOBS\t1234\n");
}

static const struct field pair_fields[] = {
    { .title = "STATE", .kind = FIELD_TEXT },
    { .title = "JOBS", .key = "", .kind = FIELD_NUMBER },
};

static void feed_pairs(const struct out *out)
{
    const struct records_style style = {
        .fields = pair_fields, .count = 2, .shape = RECORDS_KEYED
    };
    const struct run run = { .out = *out, .json = true };
    struct records *records = records_new(&run, &style);
    records_add(records, (const struct value[2]){ { .text = "active" }, { .number = 3 } });
    records_add(records, (const struct value[2]){ { .text = "failed" }, { .number = 0 } });
    records_end(records);
}

static void keyed_records_are_one_object(void **state)
{
    (void)state;
    const struct out out = { 0 };
    expect_text(captured(feed_pairs, &out), "{\"active\":3,\"failed\":0}\n");
    g_autofree char *whole = captured(feed_keyed_json, &out);
    assert_true(g_str_has_prefix(whole, "{\"a\\tb\":{\"secret\":[1],\"jobs\":1234,"));
}

static void feed_stream(const struct out *out)
{
    feed(out, RECORDS_STREAM, false);
}

static void streams_have_no_header(void **state)
{
    (void)state;
    const struct out out = { .terminal = true, .width = 60 };
    expect_text(
        captured(feed_stream, &out), "a␉b  on  1m 5s  open  1,234\nc  (none)  0ms    none\n");
}

/* ---- JSON ----------------------------------------------------------------------------------
 */

static void valid_json(void **state)
{
    (void)state;
    static const char *const good[] = { "1", " {} ", "\"a\"", "null", "[1,2]", "0.1",
        "123456789012345678901234567890", "\"\\u0000\"", "{\"a\":{\"b\":[true]}}" };
    static const char *const bad[] = { "", " ", "hello", "{", "1 2", "{a:1}", "'a'", "[1,]",
        "nan", "\"\xff\"", "01" };
    for (size_t i = 0; i < G_N_ELEMENTS(good); i++)
        if (!json_valid(good[i], strlen(good[i]), NULL))
            test_fatal("%s was refused", good[i]);
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autofree char *problem = NULL;
        if (json_valid(bad[i], strlen(bad[i]), &problem))
            test_fatal("%s was taken", bad[i]);
        assert_non_null(problem);
    }
}

static char *compact(const char *text)
{
    GString *to = g_string_new(NULL);
    json_compact(to, text);
    return g_string_free(to, FALSE);
}

static char *pretty(const char *text, const struct out *out)
{
    GString *to = g_string_new(NULL);
    json_pretty(to, text, 2, out);
    return g_string_free(to, FALSE);
}

static void json_layout(void **state)
{
    (void)state;
    const struct out out = { .terminal = true };
    expect_text(compact(" { \"a b\" : [ 1 , 0.10 ] ,\n\"c\\\" \" : \"\\\\\" } "),
        "{\"a b\":[1,0.10],\"c\\\" \":\"\\\\\"}");
    expect_text(pretty("{\"a\":[1,{}],\"b\":[ ],\"c\":\"x:y\"}", &out),
        "{\"a\": [1, {}], \"b\": [], \"c\": \"x:y\"}");
    expect_text(
        pretty("{\"a\":[1,{}],\"b\":[ ],\"c\":\"x:y, and so on until it is too long for a "
               "line of its own\"}",
            &out),
        "{\n    \"a\": [\n      1,\n      {}\n    ],\n    \"b\": [],\n"
        "    \"c\": \"x:y, and so on until it is too long for a line of its own\"\n  }");
    expect_text(pretty("5", &out), "5");
    const struct out colored = { .terminal = true, .color = true };
    g_autofree char *text = pretty("{\"a\":\"b\"}", &colored);
    assert_non_null(strstr(text, "\033[36m\"a\"\033[0m: \033[32m\"b\"\033[0m"));
}

static void objects(void **state)
{
    (void)state;
    struct obj obj;
    obj_begin(&obj);
    obj_text(&obj, "text", "a\"\n\xff");
    obj_text(&obj, "none", NULL);
    obj_int(&obj, "int", -5);
    obj_bool(&obj, "bool", true);
    obj_json(&obj, "json", " { \"n\": 0.10 } ");
    obj_json(&obj, "broken", "{oops");
    obj_raw(&obj, "raw", "[1]");
    expect_text(obj_take(&obj),
        "{\"text\":\"a\\\"\\n\xef\xbf\xbd\",\"none\":null,\"int\":-5,\"bool\":true,"
        "\"json\":{\"n\":0.10},\"broken\":\"{oops\",\"raw\":[1]}");
    obj_begin(&obj);
    expect_text(obj_take(&obj), "{}");
}

static void escapes_and_unescapes_ids(void **state)
{
    (void)state;
    static const char *const pairs[][2] = { { "plain", "plain" }, { "a\tb", "a\\tb" },
        { "a\nb\r", "a\\nb\\r" }, { "a\xc0\x80z", "a\\0z" }, { "\\", "\\\\" },
        { "C:\\temp\\0", "C:\\\\temp\\\\0" }, { "", "" }, { "\x1b\xff", "\x1b\xff" } };
    for (size_t i = 0; i < G_N_ELEMENTS(pairs); i++) {
        expect_text(id_escape(pairs[i][0]), pairs[i][1]);
        expect_text(id_unescape(pairs[i][1]), pairs[i][0]);
    }
    expect_text(id_unescape("a\\bc\\"), "a\\bc\\");
}

static void writes_odd_values_as_json(void **state)
{
    (void)state;
    struct obj obj;
    obj_begin(&obj);
    obj_text(&obj, "nul", "a\xc0\x80z");
    obj_json(&obj, "half", "[\"\\ud83d\",1e400,-0]");
    obj_json(&obj, "bytes", "{\"\xff\":\"\xc3\"}");
    obj_json(&obj, "nulbyte", "\"\xc0\x80\"");
    obj_json(&obj, "bom", "\xef\xbb\xbf{}");
    expect_text(obj_take(&obj),
        "{\"nul\":\"a\\u0000z\",\"half\":[\"\\ud83d\",1e400,-0],"
        "\"bytes\":{\"\xef\xbf\xbd\":\"\xef\xbf\xbd\"},\"nulbyte\":\"\\\"\\u0000\\\"\","
        "\"bom\":\"\xef\xbb\xbf{}\"}");
}

static void stored_json_is_read_for_people(void **state)
{
    (void)state;
    static const char text[] = "[\"a \\ud83d\",\"\\ud83c\\udf82\",\"\\u0000\",\"\\\\ud83d\"]";
    static const char *const expected[] = { "a \xef\xbf\xbd", "\xf0\x9f\x8e\x82",
        "\xef\xbf\xbd", "\\ud83d" };
    struct ox__slice list, element;
    const char *p = NULL;
    assert_int_equal(ox__stored_value(&list, text, sizeof text - 1), 0);
    for (size_t i = 0; i < 4; i++) {
        assert_true(ox__slice_element(list, &p, &element));
        char *read = ox__slice_text(element);
        assert_string_equal(read, expected[i]);
        free(read);
    }
    assert_false(ox__slice_element(list, &p, &element));
    assert_int_equal(ox__stored_value(&list, "[1,]", 4), 0);
    assert_null(list.at);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spans_and_numbers),
        cmocka_unit_test(points_in_time),
        cmocka_unit_test(untrusted_text),
        cmocka_unit_test(tables_on_a_wide_terminal),
        cmocka_unit_test(tables_on_narrow_terminals),
        cmocka_unit_test(tables_in_colour),
        cmocka_unit_test(tables_in_a_pipe),
        cmocka_unit_test(empty_tables_print_nothing),
        cmocka_unit_test(records_in_each_shape),
        cmocka_unit_test(keyed_records_are_one_object),
        cmocka_unit_test(streams_have_no_header),
        cmocka_unit_test(valid_json),
        cmocka_unit_test(json_layout),
        cmocka_unit_test(objects),
        cmocka_unit_test(escapes_and_unescapes_ids),
        cmocka_unit_test(writes_odd_values_as_json),
        cmocka_unit_test(stored_json_is_read_for_people),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
