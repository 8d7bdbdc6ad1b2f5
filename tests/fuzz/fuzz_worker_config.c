/*
 * fuzz_worker_config.c - the settings file of ox-worker, before anybody asks what it means.
 *
 * Input: the file. Each line is read, told as wrong, or nothing; what is read has no comment,
 * no blanks around it, and its line.
 */
#include "fuzz.h"

#include <sys/mman.h>
#include <unistd.h>

#include "worker/config.h"

static void check_text(const char *text)
{
    size_t length = strlen(text);
    expect(g_utf8_validate(text, -1, NULL));
    expect(strchr(text, '\n') == NULL);
    expect(length == 0 || (!g_ascii_isspace(text[0]) && !g_ascii_isspace(text[length - 1])));
}

static void check_section(
    const struct config *config, const struct config_section *section, unsigned lines)
{
    unsigned line = section->line;
    expect(section->line >= 1 && section->line <= lines);
    check_text(section->kind);
    check_text(section->name);
    expect(config_find(config, section->kind, section->name) == section);
    for (size_t i = 0; i < section->count; i++) {
        const struct config_entry *entry = &section->entries[i];
        check_text(entry->key);
        check_text(entry->value);
        expect(strchr(entry->key, '=') == NULL && entry->key[0] != '[');
        expect(entry->line > line && entry->line <= lines);
        expect(config_get(section, entry->key) == entry);
        line = entry->line;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[40];
    unsigned lines = 1;
    int fd = memfd_create("config", MFD_CLOEXEC);
    expect(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    for (size_t i = 0; i < size; i++) {
        lines += data[i] == '\n';
    }
    GPtrArray *faults = g_ptr_array_new_with_free_func(g_free);
    struct config *config = config_read(path, faults);
    expect(config != NULL);
    for (size_t i = 0; i < config->count; i++) {
        check_section(config, config->sections[i], lines);
    }
    for (guint i = 0; i < faults->len; i++) {
        expect(g_str_has_prefix(faults->pdata[i], path));
        expect(g_utf8_validate(faults->pdata[i], -1, NULL));
    }
    expect(faults->len <= lines + 1);
    config_free(config);
    g_ptr_array_free(faults, TRUE);
    close(fd);
    return 0;
}
