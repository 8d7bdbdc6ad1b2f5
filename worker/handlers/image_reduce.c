/*
 * image_reduce.c - making a picture narrower.
 *
 * The same filter as vips_reduceh() has, Lanczos with three lobes, in a third of the time: that
 * one works pixel by pixel, and was the largest part of a job after the decoding itself. Here
 * eight rows are worked on at once. They are turned so that the eight values of a column lie
 * beside each other, which is what processors multiply in one go; the compiler sees to that.
 *
 * Values have six binary places in sixteen bits. A product is cut to them, which takes away
 * half of the last place on average; what all taps lose together is added beforehand.
 */
#include "handlers/image_parts.h"

#include <math.h>

enum { ROWS = 8, LOBES = 3, PLACES = 6, UP = 16 - 15 + PLACES };
enum { HALF_STORED = 1 << (UP - 1) };

/* What all threads share: for each column of the output where its window begins, in pixels of
 * the input and perhaps outside, and the weights of its `taps`. */
struct reduction {
    VipsImage *in;
    int taps, bands, in_width;
    int *starts;
    gint16 *weights;
};

/* What one thread needs: columns of the input and the output, ROWS values each. */
struct workspace {
    VipsRegion *in;
    gint16 *wide, *narrow;
};

static double lanczos(double x)
{
    static const double pi = 3.14159265358979323846;
    if (fabs(x) >= LOBES) {
        return 0;
    }
    return x == 0 ? 1 : LOBES * sin(pi * x) * sin(pi * x / LOBES) / (pi * pi * x * x);
}

/* Weights in 1/32768, with a sum of just that. */
static void set_weights(gint16 *weights, int taps, int start, double centre, double shrink)
{
    double sum = 0;
    int total = 0, largest = 0;
    for (int i = 0; i < taps; i++) {
        sum += lanczos((start + i - centre) / shrink);
    }
    for (int i = 0; i < taps; i++) {
        double weight = lanczos((start + i - centre) / shrink) / sum;
        weights[i] = (gint16)MIN(lrint(weight * 32768), G_MAXINT16);
        total += weights[i];
        largest = weights[i] > weights[largest] ? i : largest;
    }
    weights[largest] = (gint16)MIN(weights[largest] + 32768 - total, G_MAXINT16);
}

static void reduction_free(VipsImage *out, gpointer arg)
{
    struct reduction *reduction = arg;
    (void)out;
    g_object_unref(reduction->in);
    g_free(reduction->starts);
    g_free(reduction->weights);
    g_free(reduction);
}

static struct reduction *reduction_new(VipsImage *in, int width)
{
    struct reduction *reduction = g_new(struct reduction, 1);
    double shrink = (double)in->Xsize / width;
    int taps = 2 * (int)ceil(LOBES * shrink) + 1;
    *reduction = (struct reduction){ .in = g_object_ref(in),
        .taps = taps,
        .bands = in->Bands,
        .in_width = in->Xsize,
        .starts = g_new(int, (size_t)width),
        .weights = g_new0(gint16, (size_t)width * (size_t)taps) };
    for (int x = 0; x < width; x++) {
        double centre = (x + 0.5) * shrink - 0.5;
        int start = (int)floor(centre + 0.5) - taps / 2;
        reduction->starts[x] = start;
        set_weights(&reduction->weights[(size_t)x * (size_t)taps], taps, start, centre, shrink);
    }
    return reduction;
}

/* ---- Eight rows -------------------------------------------------------------------------- */

static inline gint16 stored(guint8 value)
{
    return (gint16)(value << UP | HALF_STORED);
}

/* Rows that are not there, below the last, are those of the last. Columns outside repeat the
 * edge. */
static void turn_in(const struct reduction *reduction, const struct workspace *work, int left,
    int right, int top, int bottom)
{
    const int bands = reduction->bands;
    const int inside = MAX(left, 0), last = MIN(right, reduction->in_width) - 1;
    const guint8 *rows[ROWS];
    for (int r = 0; r < ROWS; r++) {
        rows[r] = VIPS_REGION_ADDR(work->in, inside, MIN(top + r, bottom - 1));
    }
    gint16 *to = work->wide;
    for (int x = left; x < inside; x++) {
        for (int i = 0; i < bands * ROWS; i++) {
            *to++ = stored(rows[i % ROWS][i / ROWS]);
        }
    }
    const int values = (last - inside + 1) * bands;
    for (int i = 0; i < values; i++, to += ROWS) {
        for (int r = 0; r < ROWS; r++) {
            to[r] = stored(rows[r][i]);
        }
    }
    for (int x = last + 1; x < right; x++) {
        for (int i = 0; i < bands * ROWS; i++) {
            *to++ = stored(rows[i % ROWS][values - bands + i / ROWS]);
        }
    }
}

static void filter(const struct reduction *reduction, const struct workspace *work, int left,
    int from, int width)
{
    const int bands = reduction->bands, taps = reduction->taps;
    gint16 *restrict to = work->narrow;
    for (int x = from; x < from + width; x++) {
        const gint16 *restrict weights = &reduction->weights[(size_t)x * (size_t)taps];
        const gint16 *restrict window =
            &work->wide[(size_t)(reduction->starts[x] - left) * (size_t)(bands * ROWS)];
        for (int b = 0; b < bands; b++, window += ROWS, to += ROWS) {
            gint16 sums[ROWS];
            for (int r = 0; r < ROWS; r++) {
                sums[r] = (gint16)(taps / 2);
            }
            for (int k = 0; k < taps; k++) {
                const gint16 *restrict column = window + k * bands * ROWS;
                const int weight = weights[k];
                for (int r = 0; r < ROWS; r++) {
                    sums[r] = (gint16)(sums[r] + ((column[r] * weight) >> 16));
                }
            }
            for (int r = 0; r < ROWS; r++) {
                to[r] = sums[r];
            }
        }
    }
}

static void turn_out(const struct reduction *reduction, const struct workspace *work,
    VipsRegion *out, const VipsRect *rect, int top)
{
    const int values = rect->width * reduction->bands;
    const int rows = MIN(ROWS, VIPS_RECT_BOTTOM(rect) - top);
    for (int r = 0; r < rows; r++) {
        const gint16 *restrict from = work->narrow + r;
        guint8 *restrict to = VIPS_REGION_ADDR(out, rect->left, top + r);
        for (int i = 0; i < values; i++) {
            int value = from[i * ROWS] >> PLACES;
            to[i] = (guint8)CLAMP(value, 0, 255);
        }
    }
}

/* ---- As an operation of libvips ---------------------------------------------------------- */

static void *start(VipsImage *out, void *in, void *arg)
{
    struct reduction *reduction = arg;
    struct workspace *work = g_new(struct workspace, 1);
    size_t column = (size_t)reduction->bands * ROWS * sizeof(gint16);
    size_t around = (size_t)reduction->taps * 2;
    *work = (struct workspace){ .in = vips_region_new(in),
        .wide = g_malloc(((size_t)reduction->in_width + around) * column),
        .narrow = g_malloc((size_t)out->Xsize * column) };
    return work;
}

static int stop(void *seq, void *in, void *arg)
{
    struct workspace *work = seq;
    (void)in, (void)arg;
    g_object_unref(work->in);
    g_free(work->wide);
    g_free(work->narrow);
    g_free(work);
    return 0;
}

static int generate(VipsRegion *out, void *seq, void *in, void *arg, gboolean *done)
{
    const struct reduction *reduction = arg;
    struct workspace *work = seq;
    const VipsRect *rect = &out->valid;
    (void)in, (void)done;
    int left = reduction->starts[rect->left];
    int right = reduction->starts[VIPS_RECT_RIGHT(rect) - 1] + reduction->taps;
    int inside = MAX(left, 0);
    VipsRect need = { inside, rect->top, MIN(right, reduction->in_width) - inside,
        rect->height };
    if (vips_region_prepare(work->in, &need)) {
        return -1;
    }
    for (int top = rect->top; top < VIPS_RECT_BOTTOM(rect); top += ROWS) {
        turn_in(reduction, work, left, right, top, VIPS_RECT_BOTTOM(rect));
        filter(reduction, work, left, rect->left, rect->width);
        turn_out(reduction, work, out, rect, top);
    }
    return 0;
}

int image_narrow(VipsImage *in, VipsImage **out, int width)
{
    VipsImage *made = vips_image_new();
    struct reduction *reduction = reduction_new(in, width);
    g_signal_connect(made, "close", G_CALLBACK(reduction_free), reduction);
    if (vips_image_pipelinev(made, VIPS_DEMAND_STYLE_FATSTRIP, in, NULL)) {
        g_object_unref(made);
        return -1;
    }
    made->Xsize = width;
    if (vips_image_generate(made, start, generate, stop, in, reduction)) {
        g_object_unref(made);
        return -1;
    }
    *out = made;
    return 0;
}
