/*
 * image_similar.c - how alike a picture and its encoded form look: SSIM, the structural
 * similarity of their luma.
 *
 * The formula is that of Z. Wang, A. C. Bovik, H. R. Sheikh and E. P. Simoncelli, "Image
 * quality assessment: from error visibility to structural similarity", IEEE Transactions on
 * Image Processing 13 (4), 2004, equation 13, with their window (a Gaussian of 11 x 11 pixels,
 * sigma 1.5) and constants (K1 = 0.01, K2 = 0.03). The picture is not made smaller first, and
 * windows stand on every third pixel in each direction: that is a ninth of the work, and as 3
 * and 8 have no common factor, all places in the 8 x 8 blocks of the encoders count alike.
 * Windows at an edge repeat its pixels.
 */
#include "handlers/image_parts.h"

enum { TAPS = 11, REACH = TAPS / 2, STEP = 3, SUMS = 5 };

/* Gaussian of sigma 1.5, with a sum of 1. */
static const float taps[TAPS] = { 0.00102838F, 0.00759876F, 0.03600077F, 0.10936069F,
    0.21300554F, 0.26601172F, 0.21300554F, 0.10936069F, 0.03600077F, 0.00759876F, 0.00102838F };

/* Weighted sums over a window: of a, b, their squares and their product. */
struct sums {
    float of[SUMS];
};

VipsImage *image_luma(VipsImage *image, const int background[4])
{
    static const double weights[] = { 0.299, 0.587, 0.114 }; /* BT.601 */
    AUTO_IMAGE *flat = NULL, *luma = NULL, *bytes = NULL;
    AUTO_IMAGE *matrix = vips_image_new_matrix_from_array(3, 1, weights, 3);
    double colour[] = { background[0], background[1], background[2] };
    bool grey = image->Bands < 3;
    if (vips_image_hasalpha(image)) {
        VipsArrayDouble *under = vips_array_double_new(colour, grey ? 1 : 3);
        int failed = vips_flatten(image, &flat, "background", under, NULL);
        vips_area_unref(VIPS_AREA(under));
        if (failed) {
            return NULL;
        }
    } else {
        flat = g_object_ref(image);
    }
    if (grey ? vips_extract_band(flat, &luma, 0, NULL)
             : vips_recomb(flat, &luma, matrix, NULL)) {
        return NULL;
    }
    return vips_cast_uchar(luma, &bytes, NULL) ? NULL : vips_image_copy_memory(bytes);
}

/* Down the columns of both pictures, around row `y`: five rows of sums, one after the other. */
static void sum_columns(const VipsImage *a, const VipsImage *b, int y, float *restrict rows)
{
    const int width = a->Xsize;
    float *restrict sa = rows, *restrict sb = rows + width, *restrict saa = rows + 2 * width,
                    *restrict sbb = rows + 3 * width, *restrict sab = rows + 4 * width;
    for (int x = 0; x < width; x++) {
        sa[x] = sb[x] = saa[x] = sbb[x] = sab[x] = 0;
    }
    for (int k = 0; k < TAPS; k++) {
        int at = CLAMP(y + k - REACH, 0, a->Ysize - 1);
        const guint8 *restrict pa = VIPS_IMAGE_ADDR(a, 0, at);
        const guint8 *restrict pb = VIPS_IMAGE_ADDR(b, 0, at);
        const float weight = taps[k];
        for (int x = 0; x < width; x++) {
            float va = pa[x], vb = pb[x];
            float wa = weight * va, wb = weight * vb;
            sa[x] += wa;
            sb[x] += wb;
            saa[x] += wa * va;
            sbb[x] += wb * vb;
            sab[x] += wa * vb;
        }
    }
}

static struct sums sum_window(const float *rows, int width, int x)
{
    struct sums sums = { { 0 } };
    for (int k = 0; k < TAPS; k++) {
        int at = CLAMP(x + k - REACH, 0, width - 1);
        for (int i = 0; i < SUMS; i++) {
            sums.of[i] += taps[k] * rows[i * width + at];
        }
    }
    return sums;
}

static double similarity_of(const struct sums *sums)
{
    static const double c1 = 0.01 * 255 * 0.01 * 255, c2 = 0.03 * 255 * 0.03 * 255;
    double a = sums->of[0], b = sums->of[1];
    double var_a = sums->of[2] - a * a, var_b = sums->of[3] - b * b;
    double covar = sums->of[4] - a * b;
    return (2 * a * b + c1) * (2 * covar + c2) / ((a * a + b * b + c1) * (var_a + var_b + c2));
}

double image_similarity(VipsImage *a, VipsImage *b)
{
    g_autofree float *rows = g_new(float, (size_t)SUMS *(size_t)a->Xsize);
    double total = 0;
    int64_t windows = 0;
    for (int y = 0; y < a->Ysize; y += STEP) {
        sum_columns(a, b, y, rows);
        for (int x = 0; x < a->Xsize; x += STEP) {
            struct sums sums = sum_window(rows, a->Xsize, x);
            total += similarity_of(&sums);
            windows++;
        }
    }
    return total / (double)windows;
}
