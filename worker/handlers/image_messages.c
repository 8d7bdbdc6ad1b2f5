/*
 * image_messages.c - what libvips and the decoders below it say, and what becomes of it.
 *
 * They speak in two ways. Errors, and the first warning of libjpeg, go to the error buffer of
 * libvips, one a line with the name of who says it before the first colon. Warnings of the
 * others, and the errors of libpng, go to GLib's log, whose lines are kept here. Both are the
 * whole process's, and a job has the process to itself.
 *
 * Where a decode is pulled through by an encoder, the buffer holds the words of both. Only
 * those of the decoder are the reason then.
 */
#include "handlers/image_parts.h"

#include <string.h>

enum { MAX_TEXT = 300, MAX_MESSAGES = 8 };

/* Of the log, in their order, each once; the last one may be what stopped libpng. */
static GPtrArray *messages;

/* One line of valid UTF-8 (g_free). */
static char *tidy(const char *text)
{
    char *line = g_utf8_make_valid(text, -1);
    g_strstrip(g_strdelimit(line, "\n\r\t", ' '));
    if (g_utf8_strlen(line, -1) > MAX_TEXT) {
        *g_utf8_offset_to_pointer(line, MAX_TEXT) = '\0';
    }
    return line;
}

void image_messages_clear(void)
{
    if (messages == NULL) {
        messages = g_ptr_array_new_with_free_func(g_free);
    }
    g_ptr_array_set_size(messages, 0);
    vips_error_clear();
}

/* What says nothing of the file: jpegload sums up at its end what is in the error buffer
 * already, a pipeline says where it stopped, and a profile that all AVIF files have is passed
 * over. */
static bool is_noise(const char *message)
{
    static const char *const heads[] = { "read gave ", "VipsJpeg: ", "error in tile ",
        "heifload: ignoring nclx" };
    for (size_t i = 0; i < G_N_ELEMENTS(heads); i++) {
        if (g_str_has_prefix(message, heads[i])) {
            return true;
        }
    }
    return false;
}

void image_messages_note(
    const char *domain, GLogLevelFlags level, const char *message, void *arg)
{
    (void)domain, (void)arg;
    if (!(level & G_LOG_LEVEL_WARNING) || messages == NULL || is_noise(message)) {
        return;
    }
    char *line = tidy(message);
    guint place;
    if (*line == '\0' ||
        g_ptr_array_find_with_equal_func(messages, line, g_str_equal, &place)) {
        g_free(line);
        return;
    }
    if (messages->len == MAX_MESSAGES) {
        g_ptr_array_remove_index(messages, MAX_MESSAGES - 1);
    }
    g_ptr_array_add(messages, line);
}

/* ---- Reasons ----------------------------------------------------------------------------- */

/* Lines of "pngsave_buffer: ...", "vips2png: ..." and the like. */
static bool is_encoder(const char *line)
{
    const char *colon = strchr(line, ':'), *save = strstr(line, "save");
    return g_str_has_prefix(line, "vips2") || (save != NULL && colon != NULL && save < colon);
}

static const char *without_name(const char *line)
{
    const char *colon = strstr(line, ": ");
    return colon != NULL ? colon + 2 : line;
}

/* libvips looks for the end of a file by trying places, and leaves these lines when it has
 * found it. */
static bool is_search(const char *line)
{
    return strstr(line, ": bad seek to ") != NULL;
}

/* The lines of the encoder, or those of all others, without repeats; NULL when there are none
 * (g_free). */
static char *join_lines(bool of_encoder)
{
    g_auto(GStrv) lines = g_strsplit(vips_error_buffer(), "\n", -1);
    g_autoptr(GPtrArray) parts = g_ptr_array_new();
    for (size_t i = 0; lines[i] != NULL; i++) {
        const char *part = without_name(lines[i]);
        guint place;
        if (*part != '\0' && !is_search(lines[i]) && is_encoder(lines[i]) == of_encoder &&
            !g_ptr_array_find_with_equal_func(parts, part, g_str_equal, &place)) {
            g_ptr_array_add(parts, (char *)part);
        }
    }
    if (parts->len == 0) {
        return NULL;
    }
    g_ptr_array_add(parts, NULL);
    g_autofree char *text = g_strjoinv("; ", (char **)parts->pdata);
    return tidy(text);
}

/* libvips has no words of its own for what stopped libpng. */
static char *decoder_words(void)
{
    char *text = join_lines(false);
    bool silent = text == NULL || strcmp(text, "libpng read error") == 0;
    if (silent && messages != NULL && messages->len > 0) {
        g_free(text);
        text = g_strdup(messages->pdata[messages->len - 1]);
    }
    return text;
}

bool image_decoder_failed(void)
{
    g_autofree char *decoder = decoder_words();
    return decoder != NULL;
}

static bool holds_any(const char *text, const char *const *words)
{
    for (size_t i = 0; words[i] != NULL; i++) {
        if (strstr(text, words[i]) != NULL) {
            return true;
        }
    }
    return false;
}

static bool is_lack_of_memory(const char *text)
{
    static const char *const words[] = { "out of memory", "Out of memory", "unable to allocate",
        "Insufficient memory", "Cannot allocate memory", "Memory allocation", NULL };
    return holds_any(text, words);
}

/* A file may be without fault and yet of a kind that these decoders were not made for. */
static bool is_lack_of_support(const char *text)
{
    static const char *const words[] = { "nsupported", "not supported", "not configured",
        "not implemented", "Sorry, ", "Excessive number", "No decoding plugin", NULL };
    return holds_any(text, words);
}

/* Takes what has been said. Never NULL (g_free). */
static char *take_words(bool of_encoder)
{
    char *text = of_encoder ? join_lines(true) : NULL;
    text = text != NULL ? text : decoder_words();
    image_messages_clear();
    return text != NULL ? text : g_strdup("the decoder gives no reason");
}

enum handler_result image_refuse_vips(GString *why, const char *what)
{
    g_autofree char *text = take_words(true);
    return image_refuse(
        why, is_lack_of_memory(text) ? HANDLER_RETRY : HANDLER_FATAL, "%s: %s", what, text);
}

enum handler_result image_refuse_damaged(const struct image_input *input, GString *why)
{
    g_autofree char *text = take_words(false);
    if (is_lack_of_memory(text)) {
        return image_refuse(
            why, HANDLER_RETRY, "input \"%s\" cannot be decoded: %s", input->file, text);
    }
    if (is_lack_of_support(text)) {
        return image_refuse(why, HANDLER_FATAL,
            "input \"%s\" is a %s of a kind that cannot be read: %s", input->file,
            input->format->name, text);
    }
    return image_refuse_broken(input, why, "is damaged or cut short: %s", text);
}

enum handler_result image_refuse_broken(
    const struct image_input *input, GString *why, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    if (image_input_is_changing(input)) {
        return image_refuse(why, HANDLER_RETRY,
            "input \"%s\" is still being written (what is there %s)", input->file, text);
    }
    return image_refuse(why, HANDLER_FATAL, "input \"%s\" %s", input->file, text);
}

/* ---- Warnings ---------------------------------------------------------------------------- */

/* Some decoders inside TIFF only warn when pixels are missing, and with a picture that has no
 * mark at its end libvips only reports what libpng and libnsgif fail on. Bytes that are left
 * over harm no picture. */
static bool is_damage(const char *message)
{
    static const char *const words[] = { "Corrupt JPEG data", "remature",
        "IDAT: ", "Not enough image data", "bad adaptive filter value", "Invalid frame data",
        NULL };
    static const char *const left_over[] = { "extraneous bytes", "Extra compressed data",
        "Too much image data", NULL };
    return holds_any(message, words) && !holds_any(message, left_over);
}

/* Refuses what fail_on says, and reports the rest. */
static enum handler_result judge(
    const struct image_input *input, const char *message, bool damage, GString *why)
{
    int fail_on = input->request->fail_on;
    if (damage && fail_on >= VIPS_FAIL_ON_ERROR) {
        return image_refuse_broken(input, why, "is damaged: %s", message);
    }
    if (fail_on >= VIPS_FAIL_ON_WARNING) {
        return image_refuse_broken(
            input, why, "has what \"fail_on\": \"warning\" refuses: %s", message);
    }
    image_warn(input->warnings, "input \"%s\"%s: %s", input->file,
        damage ? " is damaged" : " is not quite by the rules", message);
    return HANDLER_DONE;
}

enum handler_result image_judge_messages(const struct image_input *input, GString *why)
{
    enum handler_result result = HANDLER_DONE;
    for (guint i = 0; !result && messages != NULL && i < messages->len; i++) {
        const char *message = messages->pdata[i];
        result = judge(input, message, is_damage(message), why);
    }
    bool jpeg = strcmp(input->format->name, "jpeg") == 0;
    if (result || !jpeg || input->request->info ||
        (*vips_error_buffer() == '\0' && !image_jpeg_ended_early(input))) {
        return result;
    }
    struct image_complaints complaints = { 0 };
    image_jpeg_complaints(input->fd, &complaints);
    if (*complaints.damage != '\0') {
        result = judge(input, complaints.damage, true, why);
    }
    if (!result && *complaints.harmless != '\0') {
        result = judge(input, complaints.harmless, false, why);
    }
    return result;
}
