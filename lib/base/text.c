/* text.c - see text.h. */
#include "base/text.h"

#include <glib.h>
#include <string.h>

size_t ox__utf8_truncate(const char *text, size_t max_bytes)
{
    size_t len = strnlen(text, max_bytes), cut = len;
    if (text[len] == '\0') {
        return len;
    }
    while (cut > 0 && len - cut < 3 && ((unsigned char)text[cut] & 0xc0) == 0x80) {
        cut--;
    }
    return ((unsigned char)text[cut] & 0xc0) == 0x80 ? len : cut;
}

/* Signs of some scripts that have a width though Unicode counts them as format characters, and
 * the two joiners. */
static bool is_visible_format(uint32_t c)
{
    return c == 0x200c || c == 0x200d || (c >= 0x600 && c < 0x900 && c != 0x61c);
}

bool ox__is_harmful(uint32_t c)
{
    if (c >= 0x20 && c < 0x7f) {
        return false;
    }
    switch (g_unichar_type(c)) {
    case G_UNICODE_CONTROL:
    case G_UNICODE_LINE_SEPARATOR:
    case G_UNICODE_PARAGRAPH_SEPARATOR:
        return true;
    case G_UNICODE_FORMAT:
        return !is_visible_format(c);
    default:
        return false;
    }
}

char *ox__text_clean(const char *text, const char *allowed)
{
    g_autofree char *valid = g_utf8_make_valid(text, -1);
    GString *clean = g_string_sized_new(strlen(valid) + 1);
    for (const char *p = valid; *p != '\0'; p = g_utf8_next_char(p)) {
        gunichar c = g_utf8_get_char(p);
        if (c < 0x80 && strchr(allowed, (int)c) != NULL) {
            g_string_append_c(clean, *p);
        } else if (!ox__is_harmful(c)) {
            g_string_append_len(clean, p, g_utf8_next_char(p) - p);
        } else {
            g_string_append_unichar(clean, c < 0x20 ? 0x2400 + c : 0xfffd);
        }
    }
    return g_string_free(clean, FALSE);
}
