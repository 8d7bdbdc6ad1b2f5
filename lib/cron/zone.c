/*
 * zone.c - time zones by name.
 *
 * Names come from job schedulers, which any client of the queue may have written, so they are
 * what Luxon on Node takes: IANA names in any case, offsets, "local", and the short names of
 * old Java programs that ICU still knows ("PST"). The rules come from the machine's
 * zoneinfo folder through GLib.
 *
 * GLib accepts more than is wanted: a POSIX rule in place of a name, a path to any file. So a
 * name is passed to it only after it was found in the folder, component by component, none of
 * which can be "..". The folder's listing also decides upper and lower case. Memory: GLib
 * aborts without it, the one exception to the library's rule (see ox.h); so this file uses its
 * allocator throughout.
 */
#include "cron/zone.h"

#include "base/error.h"

#include <glib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char zoneinfo_dir[] = "/usr/share/zoneinfo";

/* Characters of names; none has a ".". */
static const char name_bytes[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+-/";
enum { max_name_bytes = 64 };

/* Entries of that folder that are not zones, or not the zones that others mean by that name. */
static const char *const no_zones[] = { "posix", "right", "posixrules", "localtime",
    "Factory" };

static const struct {
    char name[4];
    const char *zone;
} short_names[] = {
    { "ACT", "Australia/Darwin" },
    { "AET", "Australia/Sydney" },
    { "AGT", "America/Argentina/Buenos_Aires" },
    { "ART", "Africa/Cairo" },
    { "AST", "America/Anchorage" },
    { "BET", "America/Sao_Paulo" },
    { "BST", "Asia/Dhaka" },
    { "CAT", "Africa/Harare" },
    { "CNT", "America/St_Johns" },
    { "CST", "America/Chicago" },
    { "CTT", "Asia/Shanghai" },
    { "EAT", "Africa/Addis_Ababa" },
    { "ECT", "Europe/Paris" },
    { "IET", "America/Indiana/Indianapolis" },
    { "IST", "Asia/Kolkata" },
    { "JST", "Asia/Tokyo" },
    { "MIT", "Pacific/Apia" },
    { "NET", "Asia/Yerevan" },
    { "NST", "Pacific/Auckland" },
    { "PLT", "Asia/Karachi" },
    { "PNT", "America/Phoenix" },
    { "PRT", "America/Puerto_Rico" },
    { "PST", "America/Los_Angeles" },
    { "SST", "Pacific/Guadalcanal" },
    { "VST", "Asia/Ho_Chi_Minh" },
};

/* What follows "UTC": a sign, one or two digits of hours, ":" and two of minutes or neither. */
static bool read_offset(const char *text, int32_t *offset_s)
{
    char sign[2], hours[3], minutes[3] = "00";
    int used = 0;
    int found = sscanf(text, "%1[+-]%2[0-9]%n:%2[0-9]%n", sign, hours, &used, minutes, &used);

    if (found < 2 || text[used] != '\0' || strlen(minutes) != 2) {
        return false;
    }
    long total_s = strtol(hours, NULL, 10) * 3600 + strtol(minutes, NULL, 10) * 60;
    *offset_s = (int32_t)(sign[0] == '-' ? -total_s : total_s);
    return true;
}

/* Two digits that make a number below `limit`, or -1. */
static int two_digits(const char *text, int limit)
{
    if (!g_ascii_isdigit(text[0]) || !g_ascii_isdigit(text[1])) {
        return -1;
    }
    int value = (text[0] - '0') * 10 + text[1] - '0';
    return value < limit ? value : -1;
}

/* "+02", "-0330", "+05:45": ECMAScript's form, which Node accepts since version 21. */
static bool read_plain_offset(const char *name, int32_t *offset_s)
{
    int hours = *name == '+' || *name == '-' ? two_digits(name + 1, 24) : -1;
    if (hours < 0) {
        return false;
    }
    const char *rest = name + 3;
    bool has_minutes = *rest != '\0';
    rest += *rest == ':' ? 1 : 0;
    int minutes = has_minutes ? two_digits(rest, 60) : 0;
    if (minutes < 0 || (has_minutes && rest[2] != '\0')) {
        return false;
    }
    *offset_s = (*name == '-' ? -1 : 1) * (hours * 3600 + minutes * 60);
    return true;
}

/* "UTC", "GMT", "UTC+3", "utc-03:30" and plain offsets */
static bool read_fixed(const char *name, int32_t *offset_s)
{
    *offset_s = 0;
    if (g_ascii_strcasecmp(name, "gmt") == 0 || g_ascii_strcasecmp(name, "utc") == 0) {
        return true;
    }
    if (g_ascii_strncasecmp(name, "utc", 3) == 0) {
        return read_offset(name + 3, offset_s);
    }
    return read_plain_offset(name, offset_s);
}

/* The entry of an open folder that `wanted` names in any case, owned by the caller; NULL: none.
 */
static char *find_entry(GDir *dir, const char *wanted)
{
    const char *entry;
    while ((entry = g_dir_read_name(dir)) != NULL) {
        if (g_ascii_strcasecmp(entry, wanted) == 0) {
            return g_strdup(entry);
        }
    }
    return NULL;
}

/* The folder has tables and notes as well. */
static bool has_rules(const char *path)
{
    char magic[4] = { 0 };
    FILE *file = fopen(path, "rb");
    bool has = file != NULL && fread(magic, 1, sizeof(magic), file) == sizeof(magic) &&
               memcmp(magic, "TZif", sizeof(magic)) == 0;
    if (file != NULL) {
        fclose(file);
    }
    return has;
}

/* The path below the zoneinfo folder, as it is spelled there; NULL: no such zone. */
static char *find_zone_file(const char *name)
{
    g_auto(GStrv) steps = g_strsplit(name, "/", -1);
    g_autofree char *path = g_strdup(zoneinfo_dir);
    g_autofree char *as_it_is = g_build_filename(zoneinfo_dir, name, NULL);

    if (name[0] != '/' && strstr(name, "//") == NULL && has_rules(as_it_is)) {
        return g_strdup(name); /* the common case; listing folders takes half a millisecond */
    }
    for (size_t i = 0; steps[i] != NULL; i++) {
        g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
        g_autofree char *entry = dir == NULL ? NULL : find_entry(dir, steps[i]);
        if (entry == NULL) {
            return NULL;
        }
        char *longer = g_build_filename(path, entry, NULL);
        g_free(path);
        path = longer;
    }
    return has_rules(path) ? g_strdup(path + sizeof(zoneinfo_dir)) : NULL;
}

static GTimeZone *find_rules(const char *name)
{
    for (size_t i = 0; i < G_N_ELEMENTS(short_names); i++) {
        if (g_ascii_strcasecmp(name, short_names[i].name) == 0) {
            name = short_names[i].zone;
        }
    }
    for (size_t i = 0; i < G_N_ELEMENTS(no_zones); i++) {
        size_t length = strlen(no_zones[i]);
        if (g_ascii_strncasecmp(name, no_zones[i], length) == 0 &&
            (name[length] == '\0' || name[length] == '/')) {
            return NULL;
        }
    }
    g_autofree char *file = find_zone_file(name);
    return file == NULL ? NULL : g_time_zone_new_identifier(file);
}

int ox__zone_init(struct ox__zone *zone, const char *name, ox_error *err)
{
    *zone = (struct ox__zone){ 0 };
    if (name == NULL || g_ascii_strcasecmp(name, "local") == 0 ||
        g_ascii_strcasecmp(name, "system") == 0 || g_ascii_strcasecmp(name, "default") == 0) {
        zone->rules = g_time_zone_new_local();
        return 0;
    }
    if (read_fixed(name, &zone->fixed_s)) {
        return 0;
    }
    size_t length = strlen(name);
    if (length == 0 || length > max_name_bytes || strspn(name, name_bytes) != length) {
        return ox__fail(
            err, OX_EINVAL, "the time zone must be a name such as \"Europe/Berlin\"");
    }
    zone->rules = find_rules(name);
    if (zone->rules == NULL) {
        return ox__fail(err, OX_EINVAL, "unknown time zone \"%s\"", name);
    }
    return 0;
}

void ox__zone_done(struct ox__zone *zone)
{
    if (zone->rules != NULL) {
        g_time_zone_unref(zone->rules);
        zone->rules = NULL;
    }
}

int32_t ox__zone_offset_s(const struct ox__zone *zone, int64_t at_s)
{
    if (zone->rules == NULL) {
        return zone->fixed_s;
    }
    int interval = g_time_zone_find_interval(zone->rules, G_TIME_TYPE_UNIVERSAL, at_s);
    return interval < 0 ? 0 : g_time_zone_get_offset(zone->rules, interval);
}
