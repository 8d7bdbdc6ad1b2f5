/*
 * config.c - see config.h. A line that is wrong is told and passed over, so that one reading
 * finds all that is wrong. What stands under a section that is wrong is passed over in silence.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX_BYTES (1 << 20)
#define SPACES " \t\r\f"         /* those that g_strstrip() takes off a line */
#define UTF8_MARK "\xef\xbb\xbf" /* that some editors put before the text */

struct reading {
    struct config *config;
    GPtrArray *faults;
    struct config_section *section; /* that of the line; NULL: none, or it is wrong */
    bool any_section;
    unsigned line;
};

void config_fault(
    const struct config *config, GPtrArray *faults, unsigned line, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_autofree char *what = g_strdup_vprintf(format, args);
    va_end(args);
    char *fault = g_strdup_printf("%s:%u: %s", config->path, line, what);
    if (g_ptr_array_find_with_equal_func(faults, fault, g_str_equal, NULL)) {
        g_free(fault);
    } else {
        g_ptr_array_add(faults, fault);
    }
}

/* ---- lines ---------------------------------------------------------------------------------
 */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* Cuts the comment off: a ; or # at the beginning or behind a blank, not between quotes. */
static void cut_comment(char *text)
{
    char quote = '\0';
    for (char *at = text; *at != '\0'; at++) {
        if (quote != '\0') {
            quote = *at == quote ? '\0' : quote;
        } else if (*at == '"' || *at == '\'') {
            quote = *at;
        } else if ((*at == ';' || *at == '#') && (at == text || is_blank(at[-1]))) {
            *at = '\0';
            return;
        }
    }
}

const struct config_section *config_find(
    const struct config *config, const char *kind, const char *name)
{
    for (size_t i = 0; i < config->count; i++) {
        const struct config_section *section = config->sections[i];
        if (strcmp(section->kind, kind) == 0 && strcmp(section->name, name) == 0) {
            return section;
        }
    }
    return NULL;
}

const struct config_entry *config_get(const struct config_section *section, const char *key)
{
    for (size_t i = 0; i < section->count; i++) {
        if (strcmp(section->entries[i].key, key) == 0) {
            return &section->entries[i];
        }
    }
    return NULL;
}

static struct config_section *add_section(
    struct config *config, const char *kind, const char *name, unsigned line)
{
    struct config_section *section = g_new0(struct config_section, 1);
    section->kind = g_string_chunk_insert(config->strings, kind);
    section->name = g_string_chunk_insert(config->strings, name);
    section->line = line;
    config->sections = g_renew(struct config_section *, config->sections, config->count + 1);
    config->sections[config->count++] = section;
    return section;
}

char *config_unquote(const char *text)
{
    size_t length = strlen(text);
    const char *last = length > 1 ? text + length - 1 : NULL;
    if ((*text != '"' && *text != '\'') || strchr(text + 1, *text) != last || last == NULL) {
        return NULL;
    }
    return g_strndup(text + 1, length - 2);
}

/* "[KIND]" or "[KIND NAME]" */
static void read_section(struct reading *reading, char *text)
{
    char *end = strrchr(text, ']');
    reading->section = NULL;
    reading->any_section = true;
    if (end == NULL || end[1] != '\0') {
        config_fault(reading->config, reading->faults, reading->line,
            end == NULL ? "\"%s\" begins with [ and does not end with ]"
                        : "\"%s\" goes on behind ]; a key has a line of its own",
            text);
        return;
    }
    *end = '\0';
    char *kind = g_strstrip(text + 1), *name = kind + strcspn(kind, SPACES);
    if (*name != '\0') {
        *name++ = '\0';
    }
    name = g_strchug(name);
    g_autofree char *bare = config_unquote(name);
    if (bare != NULL) {
        config_fault(reading->config, reading->faults, reading->line,
            "names are not quoted; write [%s %s]", kind, bare);
        return;
    }
    const struct config_section *before = config_find(reading->config, kind, name);
    if (before != NULL) {
        config_fault(reading->config, reading->faults, reading->line,
            "the section [%s%s%s] is there twice; the first one is in line %u", kind,
            *name != '\0' ? " " : "", name, before->line);
        return;
    }
    reading->section = add_section(reading->config, kind, name, reading->line);
}

/* "KEY = VALUE" */
static void read_entry(struct reading *reading, char *text)
{
    struct config_section *section = reading->section;
    char *equals = strchr(text, '='), *colon = strchr(text, ':');
    if (equals == NULL && colon != NULL && colon != text && is_blank(colon[1])) {
        config_fault(reading->config, reading->faults, reading->line,
            "\"%s\" has a colon where = belongs; write %.*s = %s", text, (int)(colon - text),
            text, colon + 1 + strspn(colon + 1, " \t"));
        return;
    }
    if (equals == NULL || equals == text) {
        config_fault(reading->config, reading->faults, reading->line,
            "\"%s\" is neither [SECTION] nor KEY = VALUE nor a comment, which begins with # or "
            ";",
            text);
        return;
    }
    *equals = '\0';
    const char *key = g_strchomp(text), *value = g_strchug(equals + 1);
    if (!reading->any_section) {
        config_fault(reading->config, reading->faults, reading->line,
            "%s stands before the first section, such as [worker]", key);
        return;
    }
    const struct config_entry *before = section != NULL ? config_get(section, key) : NULL;
    if (before != NULL) {
        config_fault(reading->config, reading->faults, reading->line,
            "%s is there twice; the first one is in line %u", key, before->line);
    } else if (section != NULL) {
        section->entries = g_renew(struct config_entry, section->entries, section->count + 1);
        section->entries[section->count++] = (struct config_entry){
            .key = g_string_chunk_insert(reading->config->strings, key),
            .value = g_string_chunk_insert(reading->config->strings, value),
            .line = reading->line,
        };
    }
}

static void read_line(struct reading *reading, char *line)
{
    if (reading->line == 1 && g_str_has_prefix(line, UTF8_MARK)) {
        line += strlen(UTF8_MARK);
    }
    if (!g_utf8_validate(line, -1, NULL)) {
        config_fault(
            reading->config, reading->faults, reading->line, "the line is not valid UTF-8");
        return;
    }
    cut_comment(line);
    char *text = g_strstrip(line);
    if (*text == '[') {
        read_section(reading, text);
    } else if (*text != '\0') {
        read_entry(reading, text);
    }
}

/* ---- the file ------------------------------------------------------------------------------
 */

/* All of it, or NULL with errno. */
static char *read_whole(const char *path, size_t *length, bool *readable)
{
    struct stat about = { 0 };
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    GString *text = g_string_sized_new(4096);
    char bytes[4096];
    ssize_t got = fd < 0 ? -1 : 1;
    while (got > 0 && text->len <= FILE_MAX_BYTES) {
        got = read(fd, bytes, sizeof bytes);
        if (got < 0 && errno == EINTR) {
            got = 1;
        } else if (got > 0) {
            g_string_append_len(text, bytes, got);
        }
    }
    int failure = got < 0 ? errno : got > 0 ? EFBIG : 0;
    *readable = fd >= 0 && fstat(fd, &about) == 0 && S_ISREG(about.st_mode) &&
                (about.st_mode & S_IROTH);
    if (fd >= 0) {
        close(fd);
    }
    *length = text->len;
    errno = failure;
    return g_string_free(text, failure != 0);
}

struct config *config_read(const char *path, GPtrArray *faults)
{
    size_t length;
    bool readable;
    g_autofree char *text = read_whole(path, &length, &readable);
    if (text == NULL) {
        g_ptr_array_add(faults, g_strdup_printf("cannot read %s: %s", path, g_strerror(errno)));
        return NULL;
    }
    struct config *config = g_new0(struct config, 1);
    config->path = g_strdup(path);
    config->readable = readable;
    config->strings = g_string_chunk_new(1024);
    struct reading reading = { .config = config, .faults = faults };
    if (g_str_has_prefix(text, "\xff\xfe") || g_str_has_prefix(text, "\xfe\xff")) {
        config_fault(config, faults, 1, "the file is UTF-16; save it as UTF-8");
        return config;
    }
    if (strlen(text) < length) {
        config_fault(config, faults, 1, "the file has zero bytes, so it is not a text file");
    }
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (char **line = lines; *line != NULL; line++) {
        reading.line++;
        read_line(&reading, *line);
    }
    return config;
}

void config_free(struct config *config)
{
    if (config == NULL) {
        return;
    }
    for (size_t i = 0; i < config->count; i++) {
        g_free(config->sections[i]->entries);
        g_free(config->sections[i]);
    }
    g_free(config->sections);
    g_string_chunk_free(config->strings);
    g_free(config->path);
    g_free(config);
}
