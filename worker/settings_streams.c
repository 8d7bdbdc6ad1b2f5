/*
 * settings_streams.c - the names of a stream and of its group, as a section or a word of the
 * command line gives them.
 */
#include "settings_reading.h"

#include <string.h>

#define NAME_MAX_BYTES 64
#define NAME_LETTERS G_CSET_a_2_z G_CSET_DIGITS "_-"

static bool check_name(
    struct reading *reading, const char *origin, const char *what, const char *name)
{
    size_t length = strlen(name);
    if (length > 0 && length <= NAME_MAX_BYTES && strspn(name, NAME_LETTERS) == length) {
        return true;
    }
    reading_fault(reading,
        "%s: '%s' is not the name of a %s, which has 1 to 64 of a-z, 0-9, '_' and '-'", origin,
        name, what);
    return false;
}

bool reading_split_stream(struct reading *reading, const char *origin, const char *name,
    const struct config_section *section, char **stream, char **group)
{
    const char *at = strchr(name, '@');
    const struct config_entry *key = section != NULL ? config_get(section, "group") : NULL;
    *stream = g_strndup(name, strcspn(name, "@"));
    if (at != NULL && key != NULL) {
        config_fault(reading->config, reading->faults, key->line,
            "[stream %s] has its group in its name already", name);
        return false;
    }
    if (at == NULL && key == NULL) {
        reading_fault(reading, "%s: [stream %s] needs group = NAME", origin, name);
        return false;
    }
    *group = g_strdup(at != NULL ? at + 1 : key->value);
    /* Both are checked, so that all that is wrong is told at once. */
    bool good = check_name(reading, origin, "stream", *stream);
    return check_name(reading, origin, "group", *group) && good;
}
