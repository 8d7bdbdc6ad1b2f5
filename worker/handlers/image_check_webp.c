/*
 * image_check_webp.c - where the coded pixels of a WebP file end.
 *
 * A picture that is even towards its end is coded as zeros, so zeros alone prove nothing. But
 * then the decoder needs them: without the last few bytes it cannot finish. Where the zeros
 * stand for other bytes, it is done long before. So a decode of a little less than all shows
 * which it is; it is made only where there are such zeros.
 */
#include "handlers/image_check.h"
#include "handlers/image_parts.h"

#include <string.h>
#include <unistd.h>
#include <webp/decode.h>

enum { FILE_HEAD = 12, CHUNK_HEAD = 8, FRAME_HEAD = 16, ZEROS = 2 * ENOUGH_ZEROS };

static guint32 little(const guint8 *at)
{
    return (guint32)at[3] << 24 | (guint32)at[2] << 16 | (guint32)at[1] << 8 | at[0];
}

/* Whether a chunk of pixels decodes without its last bytes. */
static bool ends_early(const struct image_input *input, gint64 chunk, gint64 end)
{
    enum { LEFT_OUT = ZEROS / 2 };
    size_t bytes = (size_t)(end - LEFT_OUT - chunk);
    g_autofree guint8 *data = g_try_malloc(bytes);
    WebPIDecoder *decoder =
        data != NULL ? WebPINewYUVA(NULL, 0, 0, NULL, 0, 0, NULL, 0, 0, NULL, 0, 0) : NULL;
    bool early = decoder != NULL && pread(input->fd, data, bytes, chunk) == (ssize_t)bytes &&
                 WebPIAppend(decoder, data, bytes) == VP8_STATUS_OK;
    WebPIDelete(decoder);
    return early;
}

/* Of a chunk; what is no chunk of coded pixels is whole. In ALPH the first byte says whether it
 * is coded. */
static enum image_end chunk_end(
    struct image_input *input, struct image_window *window, gint64 chunk, bool decode)
{
    enum { CODED = 3 };
    const guint8 *head = image_window_at(window, chunk, CHUNK_HEAD + 1);
    if (head == NULL) {
        return END_CUT;
    }
    bool alpha = memcmp(head, "ALPH", 4) == 0 && (head[CHUNK_HEAD] & CODED);
    bool pixels = memcmp(head, "VP8 ", 4) == 0 || memcmp(head, "VP8L", 4) == 0;
    if (!alpha && !pixels) {
        return END_WHOLE;
    }
    gint64 start = chunk + CHUNK_HEAD, end = start + little(head + 4);
    enum image_end found = image_payload_end(input, start, end, ZEROS);
    if (found != END_ZEROS || alpha) {
        return found;
    }
    if (!decode) {
        return END_UNSURE;
    }
    return ends_early(input, chunk, end) ? END_ZEROS : END_WHOLE;
}

/* Rows of chunks: kind, length, data, filled up to an even length. Frames are chunks that hold
 * chunks, behind 16 bytes of their own. */
static enum image_end find_end(struct image_input *input, bool decode)
{
    struct image_window window = { .fd = input->fd };
    const guint8 *head = image_window_at(&window, 0, FILE_HEAD);
    gint64 file_end = head != NULL ? CHUNK_HEAD + (gint64)little(head + 4) : G_MAXINT64;
    if (file_end > input->bytes) {
        return END_CUT;
    }
    enum image_end end = END_WHOLE;
    gint64 at = FILE_HEAD;
    while (end == END_WHOLE && at + CHUNK_HEAD < file_end) {
        end = chunk_end(input, &window, at, decode);
        head = image_window_at(&window, at, CHUNK_HEAD);
        gint64 bytes = head != NULL ? little(head + 4) : 0;
        bool frame = head != NULL && memcmp(head, "ANMF", 4) == 0;
        at += CHUNK_HEAD + (frame ? FRAME_HEAD : bytes + (bytes & 1));
    }
    return end;
}

enum image_end image_webp_end(struct image_input *input)
{
    return find_end(input, false);
}

enum image_end image_webp_true_end(struct image_input *input)
{
    return find_end(input, true);
}
