/*
 * parse.c - parses option values; see parse.h.
 */
#include "parse.h"
#include "base/units.h"
#include <glib.h>
#include <string.h>

bool parse_dedup(char *text, void *out, char **why)
{
    static const struct ox__word words[] = {
        { "ttl", OX__WORD_DURATION, offsetof(ox_dedup, ttl_ms) },
        { "extend", OX__WORD_FLAG, offsetof(ox_dedup, extend) },
        { "replace", OX__WORD_FLAG, offsetof(ox_dedup, replace) },
        { "reschedule", OX__WORD_FLAG, offsetof(ox_dedup, reschedule) },
        { "keep-last", OX__WORD_FLAG, offsetof(ox_dedup, keep_last_if_active) },
    };
    ox_dedup *dedup = out;
    *dedup = (ox_dedup){ 0 };
    char *rest = text;
    dedup->id = ox__next_part(&rest, ':');
    if (!*dedup->id) {
        *why = g_strdup("the deduplication id is empty");
        return false;
    }
    return ox__parse_words(rest, ':', words, G_N_ELEMENTS(words), dedup, why);
}

bool parse_child_failure(char *text, void *out, char **why)
{
    static const char *const names[] = {
        [OX_CHILD_WAIT] = "wait",
        [OX_CHILD_FAIL_PARENT] = "fail",
        [OX_CHILD_CONTINUE] = "continue",
        [OX_CHILD_IGNORE] = "ignore",
        [OX_CHILD_REMOVE] = "remove",
    };
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        if (!strcmp(text, names[i])) {
            *(int *)out = (int)i;
            return true;
        }
    }
    *why = g_strdup_printf("\"%s\" is not one of wait, fail, continue, ignore, remove", text);
    return false;
}

bool parse_stack_trace_limit(char *text, void *out, char **why)
{
    int64_t number;
    if (!ox__parse_count(text, 0, INT32_MAX, &number, why)) {
        return false;
    }
    *(int32_t *)out = number > 0 ? (int32_t)number : -1;
    return true;
}

/* Whether it is "repeat:SCHEDULER:TIME"; the scheduler's id may have colons as well. */
static bool is_scheduler_job(const char *id)
{
    const char *time = strrchr(id, ':');
    return g_str_has_prefix(id, "repeat:") && time - id > (ptrdiff_t)strlen("repeat:") &&
           time[1] && !time[1 + strspn(time + 1, "0123456789")];
}

/* The colon before the id: the last one, but before a scheduler's job the first behind which
 * that stands, as no queue's name has a colon. */
static char *find_id(char *text)
{
    for (char *colon = strchr(text, ':'); colon != NULL; colon = strchr(colon + 1, ':')) {
        if (is_scheduler_job(colon + 1)) {
            return colon;
        }
    }
    return strrchr(text, ':');
}

bool parse_parent(char *text, void *out, char **why)
{
    ox_parent *parent = out;
    char *colon = find_id(text);
    if (colon == NULL || colon == text || !colon[1]) {
        *why = g_strdup_printf("\"%s\" is not QUEUE:ID", text);
        return false;
    }
    *colon = '\0';
    *parent = (ox_parent){ .queue = text, .id = colon + 1 };
    return true;
}

bool parse_patience(char *text, void *out, char **why)
{
    struct patience *patience = out;
    *patience = (struct patience){ .given = true };
    return text == NULL || ox__parse_duration(text, 1, UINT32_MAX, &patience->timeout_ms, why);
}
