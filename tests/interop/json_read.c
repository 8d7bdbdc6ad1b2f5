/*
 * json_read.c - what libox makes of stored JSON, for json_parity.test.mjs to compare.
 *
 * Reads lines of hexadecimal digits, the bytes of a text. Answers each by one: "-" when it is
 * not JSON to the reader, else the same value, written anew from what was read.
 */
#include "lib/base/json.h"
#include "lib/base/stored.h"

#include <ox.h>

#include <glib.h>
#include <stdio.h>
#include <string.h>

static void write_value(GString *out, struct ox__slice value);

static void write_text(GString *out, struct ox__slice string)
{
    struct ox__buf quoted = { 0 };
    char *text = ox__slice_text(string);
    ox__json_string(&quoted, text, strlen(text));
    g_string_append_len(out, quoted.data, (gssize)quoted.len);
    ox__buf_done(&quoted);
    ox_free(text);
}

static void write_container(GString *out, struct ox__slice container)
{
    bool object = *container.at == '{';
    struct ox__slice name, value;
    const char *p = NULL;
    g_string_append_c(out, *container.at);
    while (object ? ox__slice_member(container, &p, &name, &value)
                  : ox__slice_element(container, &p, &value)) {
        if (out->str[out->len - 1] != '{' && out->str[out->len - 1] != '[') {
            g_string_append_c(out, ',');
        }
        if (object) {
            write_text(out, name);
            g_string_append_c(out, ':');
        }
        write_value(out, value);
    }
    g_string_append_c(out, object ? '}' : ']');
}

static void write_value(GString *out, struct ox__slice value)
{
    char number[G_ASCII_DTOSTR_BUF_SIZE];
    if (*value.at == '{' || *value.at == '[') {
        write_container(out, value);
    } else if (*value.at == '"') {
        write_text(out, value);
    } else if (g_ascii_isalpha(*value.at)) {
        g_string_append_len(out, value.at, value.end - value.at);
    } else {
        g_string_append(out, g_ascii_dtostr(number, sizeof(number), ox__slice_number(value)));
    }
}

static void answer(const char *digits)
{
    size_t len = strlen(digits) / 2;
    g_autofree char *text = g_malloc0(len + 1);
    for (size_t i = 0; i < len; i++) {
        text[i] = (char)(g_ascii_xdigit_value(digits[2 * i]) << 4 |
                         g_ascii_xdigit_value(digits[2 * i + 1]));
    }
    struct ox__slice value;
    g_autoptr(GString) out = g_string_new(NULL);
    ox__stored_value(&value, text, len);
    if (value.at != NULL) {
        write_value(out, value);
    }
    puts(value.at != NULL ? out->str : "-");
}

int main(void)
{
    char *line = NULL;
    size_t room = 0;
    while (getline(&line, &room, stdin) > 0) {
        line[strcspn(line, "\n")] = '\0';
        answer(line);
    }
    g_free(line);
    return 0;
}
