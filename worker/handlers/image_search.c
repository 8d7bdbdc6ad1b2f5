/*
 * image_search.c - the quality of an output: the highest that fits (max_bytes), or the lowest
 * that is similar enough (target).
 *
 * Both are the same search. Bytes and similarity grow with the quality, so there is one step of
 * it where an output goes from "below" the bound to "above": max_bytes takes the quality before
 * that step, target the one behind. The step is closed in from both sides, by where the bound
 * lies between what was measured, and by the middle when that does not halve what is left. The
 * search ends when two neighbours are known, so what is found is what the docs promise even
 * where an encoder does not quite grow with the quality.
 */
#include "handlers/image_parts.h"

#include <math.h>

struct search {
    VipsImage *picture;
    VipsImage *luma; /* of the picture; NULL: similarity does not matter */
    const struct image_output *output;
    struct image_piece *piece; /* its data: the best so far */
    double bound;
    int below, above;          /* two qualities, as near as is known.. */
    double at_below, at_above; /* ..and what was measured there; NAN: nothing yet */
    bool halved;               /* the last try left at most half of what was between them */
};

bool image_searches(const struct image_output *output)
{
    return output->max_bytes > 0 || output->target > 0;
}

/* Both grow evenly with the quality when written so. */
static double scale_bytes(double bytes)
{
    return log(bytes);
}

static double scale_similarity(double similarity)
{
    return -log(fmax(1 - similarity, 1e-9));
}

static int save(const struct search *search, int quality, void **data, size_t *bytes)
{
    struct image_output output = *search->output;
    output.quality = quality;
    return image_save(search->picture, &output, data, bytes);
}

static double measure_similarity(const struct search *search, const void *data, size_t bytes)
{
    const struct image_format *format = search->output->format;
    AUTO_IMAGE *coded = NULL, *luma = NULL;
    VipsSource *source = vips_source_new_from_memory(data, bytes);
    double similarity = -1;
    int failed =
        vips_image_get_n_pages(search->picture) > 1
            ? format->load(source, &coded, "access", VIPS_ACCESS_SEQUENTIAL, "n", -1, NULL)
            : format->load(source, &coded, "access", VIPS_ACCESS_SEQUENTIAL, NULL);
    g_object_unref(source);
    if (!failed && (luma = image_luma(coded, search->output->background)) != NULL &&
        luma->Xsize == search->luma->Xsize && luma->Ysize == search->luma->Ysize) {
        similarity = image_similarity(search->luma, luma);
    }
    return similarity;
}

/* The best so far is below for max_bytes, above for target. */
static void take(struct search *search, const struct image_try *one, void *data, bool is_above)
{
    struct image_piece *piece = search->piece;
    if (is_above != (search->output->target > 0)) {
        g_free(data);
        return;
    }
    g_free(piece->data);
    piece->data = data;
    piece->bytes = one->bytes;
    piece->quality = one->quality;
    piece->similarity = one->similarity;
}

static int try_quality(struct search *search, int quality)
{
    void *data = NULL;
    bool by_target = search->output->target > 0;
    struct image_try one = { .quality = quality };
    if (save(search, quality, &data, &one.bytes)) {
        return -1;
    }
    if (by_target && (one.similarity = measure_similarity(search, data, one.bytes)) < 0) {
        g_free(data);
        return -1;
    }
    g_array_append_val(search->piece->tries, one);
    bool is_above = by_target ? one.similarity >= search->output->target
                              : one.bytes > (size_t)search->output->max_bytes;
    double value =
        by_target ? scale_similarity(one.similarity) : scale_bytes((double)one.bytes);
    int between = search->above - search->below;
    if (is_above) {
        search->above = quality;
        search->at_above = value;
    } else {
        search->below = quality;
        search->at_below = value;
    }
    search->halved = search->above - search->below <= (between + 1) / 2;
    take(search, &one, data, is_above);
    return 0;
}

static int next_quality(const struct search *search)
{
    int below = search->below, above = search->above;
    int middle = (below + above) / 2;
    if (!search->halved || isnan(search->at_below) || isnan(search->at_above) ||
        search->at_above <= search->at_below) {
        return middle;
    }
    double share = (search->bound - search->at_below) / (search->at_above - search->at_below);
    int guess = below + (int)lround(share * (above - below));
    return CLAMP(guess, below + 1, above - 1);
}

/* When no quality will do; the nearest has been tried. */
static void explain(const struct search *search, GString *why)
{
    const struct image_output *output = search->output;
    const GArray *tries = search->piece->tries;
    int nearest = output->target > 0 ? output->quality : 1;
    for (guint i = 0; i < tries->len; i++) {
        const struct image_try *one = &g_array_index(tries, struct image_try, i);
        if (one->quality != nearest) {
            continue;
        }
        if (output->target > 0) {
            image_refuse(why, HANDLER_FATAL,
                "output \"%s\" cannot reach a similarity of %g: at quality %d it has %.4f",
                output->file, output->target, nearest, one->similarity);
        } else {
            image_refuse(why, HANDLER_FATAL,
                "output \"%s\" cannot fit in %d bytes: at quality %d it has %zu", output->file,
                output->max_bytes, nearest, one->bytes);
        }
    }
}

/* With both, what is similar enough must fit as well. */
static void check_fit(
    const struct image_output *output, struct image_piece *piece, GString *why)
{
    if (output->target == 0 || output->max_bytes == 0 || piece->data == NULL ||
        piece->bytes <= (size_t)output->max_bytes) {
        return;
    }
    image_refuse(why, HANDLER_FATAL,
        "output \"%s\" cannot fit in %d bytes: a similarity of %g takes %zu, at quality %d",
        output->file, output->max_bytes, output->target, piece->bytes, piece->quality);
    g_clear_pointer(&piece->data, g_free);
}

static int search_quality(VipsImage *picture, const struct image_output *output,
    struct image_piece *piece, GString *why)
{
    bool by_target = output->target > 0;
    AUTO_IMAGE *luma = by_target ? image_luma(picture, output->background) : NULL;
    if (by_target && luma == NULL) {
        return -1;
    }
    struct search search = { .picture = picture,
        .luma = luma,
        .output = output,
        .piece = piece,
        .bound = by_target ? scale_similarity(output->target) : scale_bytes(output->max_bytes),
        .below = 0,
        .above = output->quality + 1,
        .at_below = NAN,
        .at_above = NAN };
    piece->tries = g_array_new(FALSE, FALSE, sizeof(struct image_try));
    int quality = MIN(output->format->quality, output->quality);
    while (search.above - search.below > 1) {
        if (try_quality(&search, quality)) {
            return -1;
        }
        quality = next_quality(&search);
    }
    if (piece->data == NULL) {
        explain(&search, why);
    }
    check_fit(output, piece, why);
    return 0;
}

int image_encode(VipsImage *picture, const struct image_output *output,
    struct image_piece *piece, GString *why)
{
    if (image_searches(output)) {
        return search_quality(picture, output, piece, why);
    }
    piece->quality = output->quality;
    return image_save(picture, output, &piece->data, &piece->bytes);
}
