/*
 * image_thumbhash.c - ThumbHash, a placeholder of about 25 bytes that browsers show as a
 * blurred preview.
 *
 * The format is Evan Wallace's (https://evanw.github.io/thumbhash/). A picture is split into
 * lightness, two colour axes and opacity, and of each the lowest frequencies of a cosine
 * transform are kept: the constant term and the largest of the others in a few bits of a
 * header, then four bits for each of these others, as a share of the largest. The shape is told
 * by how many frequencies lightness has in each direction.
 */
#include "handlers/image_parts.h"

#include <math.h>
#include <string.h>

enum { MOST_TERMS = 7 * 7, MOST_PIXELS = THUMBHASH_SIDE * THUMBHASH_SIDE };

/* One channel of a picture, and what is kept of it. */
struct channel {
    double values[MOST_PIXELS];
    int across, down; /* frequencies */
    double constant, largest;
    double terms[MOST_TERMS]; /* 0..1 */
    int count;
};

enum { LIGHTNESS, YELLOW_BLUE, RED_GREEN, OPACITY, CHANNELS };

static double term(const struct channel *channel, int width, int height, int cx, int cy)
{
    double sum = 0, fx[THUMBHASH_SIDE];
    for (int x = 0; x < width; x++) {
        fx[x] = cos(G_PI / width * cx * (x + 0.5));
    }
    for (int y = 0; y < height; y++) {
        double fy = cos(G_PI / height * cy * (y + 0.5));
        for (int x = 0; x < width; x++) {
            sum += channel->values[y * width + x] * fx[x] * fy;
        }
    }
    return sum / (width * height);
}

/* Frequencies above a diagonal from (across, 0) to (0, down) are left out. */
static void transform(struct channel *channel, int width, int height)
{
    int across = channel->across, down = channel->down;
    for (int cy = 0; cy < down; cy++) {
        for (int cx = 0; cx * down < across * (down - cy); cx++) {
            double f = term(channel, width, height, cx, cy);
            if (cx == 0 && cy == 0) {
                channel->constant = f;
                continue;
            }
            channel->terms[channel->count++] = f;
            channel->largest = fmax(channel->largest, fabs(f));
        }
    }
    for (int i = 0; channel->largest > 0 && i < channel->count; i++) {
        channel->terms[i] = 0.5 + 0.5 / channel->largest * channel->terms[i];
    }
}

/* Where it is transparent, the picture is taken to have its average colour. */
static void split(struct channel *channels, size_t pixels, const guint8 *rgba, double *opacity)
{
    double average[3] = { 0 };
    *opacity = 0;
    for (size_t i = 0; i < pixels; i++) {
        double alpha = rgba[4 * i + 3] / 255.0;
        for (size_t c = 0; c < 3; c++) {
            average[c] += alpha / 255 * rgba[4 * i + c];
        }
        *opacity += alpha;
    }
    for (size_t c = 0; *opacity > 0 && c < 3; c++) {
        average[c] /= *opacity;
    }
    for (size_t i = 0; i < pixels; i++) {
        double alpha = rgba[4 * i + 3] / 255.0, colour[3];
        for (size_t c = 0; c < 3; c++) {
            colour[c] = average[c] * (1 - alpha) + alpha / 255 * rgba[4 * i + c];
        }
        channels[LIGHTNESS].values[i] = (colour[0] + colour[1] + colour[2]) / 3;
        channels[YELLOW_BLUE].values[i] = (colour[0] + colour[1]) / 2 - colour[2];
        channels[RED_GREEN].values[i] = colour[0] - colour[1];
        channels[OPACITY].values[i] = alpha;
    }
}

/* As Math.round() of JavaScript; none is negative. */
static guint32 rounded(double value)
{
    return (guint32)floor(value + 0.5);
}

static size_t write_header(
    const struct channel *channels, bool landscape, bool transparent, int shape, guint8 *hash)
{
    const struct channel *l = &channels[LIGHTNESS], *p = &channels[YELLOW_BLUE],
                         *q = &channels[RED_GREEN], *a = &channels[OPACITY];
    guint32 first = rounded(63 * l->constant) | rounded(31.5 + 31.5 * p->constant) << 6 |
                    rounded(31.5 + 31.5 * q->constant) << 12 | rounded(31 * l->largest) << 18 |
                    (guint32)transparent << 23;
    guint32 second = (guint32)shape | rounded(63 * p->largest) << 3 |
                     rounded(63 * q->largest) << 9 | (guint32)landscape << 15;
    size_t bytes = 0;
    for (int i = 0; i < 3; i++) {
        hash[bytes++] = (guint8)(first >> (8 * i));
    }
    for (int i = 0; i < 2; i++) {
        hash[bytes++] = (guint8)(second >> (8 * i));
    }
    if (transparent) {
        hash[bytes++] = (guint8)(rounded(15 * a->constant) | rounded(15 * a->largest) << 4);
    }
    return bytes;
}

/* How many frequencies lightness has along a side: most along the longer one. */
static int frequencies(int side, int longer, int most)
{
    return (int)MAX(1, rounded((double)most * side / longer));
}

size_t image_thumbhash(int width, int height, const guint8 *rgba, guint8 hash[THUMBHASH_BYTES])
{
    g_autofree struct channel *channels = g_new0(struct channel, CHANNELS);
    size_t pixels = (size_t)width * (size_t)height;
    double opacity;
    split(channels, pixels, rgba, &opacity);
    bool transparent = opacity < (double)pixels;
    int most = transparent ? 5 : 7;
    int across = frequencies(width, MAX(width, height), most);
    int down = frequencies(height, MAX(width, height), most);
    for (int i = 0; i < CHANNELS; i++) {
        channels[i].across = i == LIGHTNESS ? MAX(3, across) : i == OPACITY ? 5 : 3;
        channels[i].down = i == LIGHTNESS ? MAX(3, down) : i == OPACITY ? 5 : 3;
        if (i != OPACITY || transparent) {
            transform(&channels[i], width, height);
        }
    }
    bool landscape = width > height;
    memset(hash, 0, THUMBHASH_BYTES);
    size_t at =
        2 * write_header(channels, landscape, transparent, landscape ? down : across, hash);
    for (int i = 0; i < CHANNELS; i++) {
        for (int j = 0; j < channels[i].count; j++, at++) {
            hash[at / 2] |= (guint8)(rounded(15 * channels[i].terms[j]) << (at % 2 * 4));
        }
    }
    return (at + 1) / 2;
}

/* Small, with three colours and opacity; of an animation the first frame. */
static int prepare(VipsImage *image, VipsImage **out)
{
    AUTO_IMAGE *first = NULL, *small = NULL, *colours = NULL;
    int width = image->Xsize, height = vips_image_get_page_height(image);
    double shrink = (double)MAX(width, height) / THUMBHASH_SIDE;
    if (vips_extract_area(image, &first, 0, 0, width, height, NULL)) {
        return -1;
    }
    if (shrink > 1) {
        width = MAX((int)(width / shrink + 0.5), 1);
        height = MAX((int)(height / shrink + 0.5), 1);
    }
    if (image_resize(first, &small, width, height)) {
        return -1;
    }
    if (small->Bands < 3) {
        if (vips_colourspace(small, &colours, VIPS_INTERPRETATION_sRGB, NULL)) {
            return -1;
        }
    } else {
        colours = g_object_ref(small);
    }
    if (!vips_image_hasalpha(colours)) {
        return vips_addalpha(colours, out, NULL);
    }
    *out = g_steal_pointer(&colours);
    return 0;
}

char *image_placeholder(VipsImage *image)
{
    AUTO_IMAGE *small = NULL, *bytes = NULL;
    guint8 hash[THUMBHASH_BYTES];
    size_t size = 0;
    if (prepare(image, &small) || vips_cast_uchar(small, &bytes, NULL)) {
        return NULL;
    }
    g_autofree guint8 *rgba = vips_image_write_to_memory(bytes, &size);
    if (rgba == NULL) {
        return NULL;
    }
    size_t len = image_thumbhash(bytes->Xsize, bytes->Ysize, rgba, hash);
    return g_base64_encode(hash, len);
}
