/*
 * pattern.c - types of events, and patterns of types.
 *
 * The script that publishes matches as well, because it alone knows the bindings of that moment
 * (lua/inc/route.lua); the tests hold both to the same cases.
 */
#include "events/pattern.h"

#include "base/error.h"

#include <string.h>

#define MAX_BYTES 255
#define MAX_SEGMENTS 16

/* The length of the segment at `text`. */
static size_t segment(const char *text)
{
    return strcspn(text, ".");
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           c == '_' || c == '-';
}

static bool is_word(const char *text, size_t len)
{
    size_t n = 0;
    while (n < len && is_letter(text[n])) { /* strspn() makes a table at each call */
        n++;
    }
    return len > 0 && n == len;
}

static int check(const char *text, const char *what, bool wild, ox_error *err)
{
    size_t segments = 0;
    if (text == NULL || *text == '\0') {
        return ox__fail(err, OX_EINVAL, "%s is empty", what);
    }
    if (strlen(text) > MAX_BYTES) {
        return ox__fail(
            err, OX_EINVAL, "%s %.40s... is longer than %d bytes", what, text, MAX_BYTES);
    }
    for (const char *p = text;; p++) {
        size_t len = segment(p);
        bool one = wild && len == 1 && *p == '*';
        bool rest = wild && len == 1 && *p == '>' && p[1] == '\0';
        if (!one && !rest && !is_word(p, len)) {
            return ox__fail(err, OX_EINVAL,
                "%s \"%.100s\" must be segments of A-Z, a-z, 0-9, '_' and '-' joined by '.'%s",
                what, text, wild ? "; or '*' for one segment, '>' for the rest" : "");
        }
        if (++segments > MAX_SEGMENTS) {
            return ox__fail(err, OX_EINVAL, "%s %.100s has more than %d segments", what, text,
                MAX_SEGMENTS);
        }
        p += len;
        if (*p == '\0') {
            return 0;
        }
    }
}

int ox__type_check(const char *type, ox_error *err)
{
    return check(type, "event type", false, err);
}

int ox__pattern_check(const char *pattern, ox_error *err)
{
    return check(pattern, "pattern", true, err);
}

bool ox__pattern_matches(const char *pattern, const char *type)
{
    for (;; pattern++, type++) {
        size_t len = segment(type), want = segment(pattern);
        if (want == 1 && *pattern == '>' && pattern[1] == '\0') {
            return *type != '\0';
        }
        bool any = want == 1 && *pattern == '*' && len > 0;
        if (!any && (want != len || memcmp(pattern, type, len) != 0)) {
            return false;
        }
        pattern += want;
        type += len;
        if (*pattern == '\0' || *type == '\0') {
            return *pattern == *type;
        }
    }
}
