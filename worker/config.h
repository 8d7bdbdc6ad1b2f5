/*
 * config.h - a settings file as it stands on the disk: sections, keys, values, and the line of
 * each. What they mean is the matter of settings.c.
 *
 *     # a comment
 *     [handler images/compress]   ; a section: its kind, and mostly a name
 *     timeout = 60s               ; what follows a blank and a ; or # is a comment
 *     command = sh -c "a ; b"     ; but not between quotes, which stay part of the value
 *
 * A mark of UTF-8 at the beginning and the CR of CR LF are passed over. Values are not quoted:
 * quotes around all of a value are refused by settings_layers.c, but for that of a command,
 * which is split like a shell does it.
 *
 * It is the form of GLib's key files, read by hand: GLib tells of no lines, takes a section or
 * key that is there twice without a word, and knows no comment behind a value.
 */
#ifndef OX_WORKER_CONFIG_H
#define OX_WORKER_CONFIG_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>

struct config_entry {
    const char *key, *value;
    unsigned line;
};

struct config_section {
    const char *kind, *name; /* "queue" and "images"; the name may be empty */
    unsigned line;
    struct config_entry *entries;
    size_t count;
};

struct config {
    char *path;
    bool readable;                    /* by every user of the machine */
    struct config_section **sections; /* in the order of the file */
    size_t count;
    GStringChunk *strings; /* owns all texts */
};

/* Reads the file. What is wrong with it is added to `faults` (of heap texts, each with file and
 * line), and left out of `out`. NULL only if it cannot be read at all. */
struct config *config_read(const char *path, GPtrArray *faults);
/* NULL is fine. */
void config_free(struct config *config);

/* The section, or NULL. */
const struct config_section *config_find(
    const struct config *config, const char *kind, const char *name);
/* What the section has under that key, or NULL. */
const struct config_entry *config_get(const struct config_section *section, const char *key);

/* The text without the quotes that enclose all of it (heap), or NULL if there are none. */
char *config_unquote(const char *text);

/* Adds "FILE:LINE: ..." to the faults. */
void config_fault(const struct config *config, GPtrArray *faults, unsigned line,
    const char *format, ...) G_GNUC_PRINTF(4, 5);

#endif /* OX_WORKER_CONFIG_H */
