/*
 * text.h - truncates UTF-8 text, and makes untrusted text safe to show.
 *
 * For the programs and for the library, which carries a copy of it.
 */
#ifndef OX_LIB_BASE_TEXT_H
#define OX_LIB_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How many bytes of the text to keep: all, or at most `max_bytes` and no partial character.
 * Text that is not UTF-8 there is cut between bytes. */
size_t ox__utf8_truncate(const char *text, size_t max_bytes);

/* Whether a character could steer the terminal that shows it, or hide what is there: control
 * characters, also those beyond ASCII, those that turn the writing direction, end lines or
 * have no width (but for the joiners that scripts and emoji are written with). */
bool ox__is_harmful(uint32_t c);

/* The text as valid UTF-8 that is harmless on a terminal: each steering character that is not
 * in `allowed` (of ASCII; line feeds, tabs) becomes one visible character. Heap, g_free(). */
char *ox__text_clean(const char *text, const char *allowed);

#endif /* OX_LIB_BASE_TEXT_H */
