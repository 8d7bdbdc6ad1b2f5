/*
 * make_photos.c - paints photos for the demo: make_photos FOLDER COUNT
 *
 * Each is a car on a road, 4000 x 3000 pixels (12 MP), a JPEG of several megabytes as a phone
 * takes it. What makes a photo hard to compress is detail on every scale, so clouds, hills and
 * tarmac are sums of Perlin noise of several sizes, and the whole gets a camera's grain. The
 * same number always gives the same photo.
 *
 * Everything is a lazy libvips pipeline: pixels are computed tile by tile while the JPEG is
 * written. A struct scene owns all images on the way and drops them together.
 */
#include <glib.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <vips/vips.h>

#define WIDTH 4000
#define HEIGHT 3000
#define QUALITY 93
#define GRAIN 6.0 /* standard deviation, of 255 */
/* Coarse noise is computed at one eighth of the size and enlarged; fine noise and grain are
 * one tile, repeated. Noise of every pixel by itself would take seconds a photo. */
#define SHRINK 8
#define TILE 1024

struct palette {
    double sky[3], horizon[3], hill[3], field[3];
    const char *paint; /* the car's, as SVG writes it */
    double ridge;      /* where the hills end, as a share of the height */
};

static const struct palette palettes[] = {
    { { 62, 110, 178 }, { 205, 216, 224 }, { 70, 92, 98 }, { 112, 124, 66 }, "#b3261e", 0.42 },
    { { 74, 72, 120 }, { 246, 176, 118 }, { 72, 58, 76 }, { 110, 92, 60 }, "#1f5fa8", 0.46 },
    { { 120, 134, 146 }, { 196, 200, 202 }, { 84, 96, 92 }, { 88, 104, 74 }, "#e8e6df", 0.38 },
    { { 38, 92, 160 }, { 178, 206, 228 }, { 122, 96, 74 }, { 168, 138, 92 }, "#1d6b4f", 0.50 },
    { { 96, 140, 190 }, { 228, 224, 206 }, { 58, 84, 62 }, { 88, 118, 50 }, "#d9a400", 0.40 },
    { { 46, 54, 92 }, { 206, 130, 130 }, { 44, 44, 64 }, { 66, 70, 62 }, "#5a5f66", 0.44 },
};

struct scene {
    GPtrArray *images; /* all that was made, owned */
    VipsImage *fine;   /* noise of 4 to 16 pixels, borrowed */
    VipsImage *grain;  /* borrowed */
    int seed;
    bool failed; /* checked once, at the end */
};

/* Takes the result of one vips call; a failed scene goes on with NULL. */
static VipsImage *keep(struct scene *scene, int status, VipsImage *image)
{
    if (status) {
        scene->failed = true;
        return NULL;
    }
    g_ptr_array_add(scene->images, image);
    return image;
}

/* MAKE(vips_something(in, OUT, ..)) sets `result`; skipped once the scene `s` has failed. */
#define MAKE(call)                                                                             \
    do {                                                                                       \
        VipsImage *made = NULL;                                                                \
        int status = s->failed || (call);                                                      \
        result = keep(s, status, made);                                                        \
    } while (0)
#define OUT (&made)

/* Computed now, once, instead of wherever it is used. */
static VipsImage *in_memory(struct scene *s, VipsImage *in)
{
    VipsImage *memory = s->failed ? NULL : vips_image_copy_memory(in);
    return keep(s, !memory, memory);
}

static VipsImage *linear(struct scene *s, VipsImage *in, double scale, double shift)
{
    VipsImage *result;
    MAKE(vips_linear1(in, OUT, scale, shift, NULL));
    return result;
}

static VipsImage *add(struct scene *s, VipsImage *a, VipsImage *b)
{
    VipsImage *result;
    MAKE(vips_add(a, b, OUT, NULL));
    return result;
}

/* Values cut to 0..255. */
static VipsImage *to_bytes(struct scene *s, VipsImage *in)
{
    VipsImage *result;
    MAKE(vips_cast(in, OUT, VIPS_FORMAT_UCHAR, NULL));
    return result;
}

/* One band becomes colour: from[i] where the value is 0, to[i] where it is 1. */
static VipsImage *tint(struct scene *s, VipsImage *in, const double from[3], const double to[3])
{
    VipsImage *result;
    double scale[3];
    for (int i = 0; i < 3; i++)
        scale[i] = to[i] - from[i];
    MAKE(vips_linear(in, OUT, scale, from, 3, NULL));
    return result;
}

/* `above` where the mask is 255, `below` where it is 0, a blend between. */
static VipsImage *blend(struct scene *s, VipsImage *mask, VipsImage *above, VipsImage *below)
{
    VipsImage *result;
    MAKE(vips_ifthenelse(mask, above, below, OUT, "blend", TRUE, NULL));
    return result;
}

/* Noise on all scales from `coarsest` pixels down to `finest`, each half as strong as the last:
 * about -1 to 1. */
static VipsImage *fractal(struct scene *s, int width, int height, int coarsest, int finest)
{
    VipsImage *result;
    VipsImage *sum = NULL;
    double weight = 1;
    for (int cell = coarsest; cell >= finest; cell /= 2, weight /= 2) {
        MAKE(vips_perlin(OUT, width, height, "cell_size", cell, "seed", s->seed++, NULL));
        sum = sum ? add(s, sum, linear(s, result, weight, 0)) : result;
    }
    return sum;
}

static VipsImage *repeat(struct scene *s, VipsImage *tile)
{
    VipsImage *result;
    MAKE(vips_replicate(tile, OUT, WIDTH / TILE + 1, HEIGHT / TILE + 1, NULL));
    VipsImage *large = result;
    MAKE(vips_crop(large, OUT, 0, 0, WIDTH, HEIGHT, NULL));
    return result;
}

/* Noise for the whole picture; `fine` is the share of the smallest detail. */
static VipsImage *noise(struct scene *s, int coarsest, double fine)
{
    VipsImage *result;
    VipsImage *small =
        in_memory(s, fractal(s, WIDTH / SHRINK + 2, HEIGHT / SHRINK + 2, coarsest / SHRINK, 4));
    MAKE(vips_affine(small, OUT, SHRINK, 0, 0, SHRINK, NULL));
    VipsImage *large = result;
    MAKE(vips_crop(large, OUT, 0, 0, WIDTH, HEIGHT, NULL));
    large = result;
    return add(s, large, linear(s, repeat(s, s->fine), fine, 0));
}

static VipsImage *rows(struct scene *s)
{
    VipsImage *result;
    MAKE(vips_xyz(OUT, WIDTH, HEIGHT, NULL));
    VipsImage *xy = result;
    MAKE(vips_extract_band(xy, OUT, 1, NULL));
    return result;
}

/* 255 below a line that wanders around `level`, 0 above it. */
static VipsImage *below_line(
    struct scene *s, VipsImage *y, double level, double height, int cell)
{
    VipsImage *result;
    VipsImage *line = linear(s, fractal(s, WIDTH, 1, cell, 8), -height, -level);
    MAKE(vips_embed(line, OUT, 0, 0, WIDTH, HEIGHT, "extend", VIPS_EXTEND_COPY, NULL));
    return to_bytes(s, linear(s, add(s, y, result), 128, 0));
}

/* Ground of one colour with grass or grit: darker and lighter by fine noise. */
static VipsImage *ground(struct scene *s, const double colour[3], int coarsest, double fine)
{
    static const double contrast = 0.45;
    double dark[3], light[3];
    for (int i = 0; i < 3; i++) {
        dark[i] = colour[i] * (1 - contrast);
        light[i] = colour[i] * (1 + contrast);
    }
    return tint(s, linear(s, noise(s, coarsest, fine), 0.5, 0.5), dark, light);
}

#define CAR_WIDTH 2600
#define CAR_HEIGHT 1000
static const char car_svg[] =
    "<svg xmlns='http://www.w3.org/2000/svg' width='2600' height='1000' viewBox='0 0 260 100'>"
    "<defs><linearGradient id='p' x1='0' y1='0' x2='0' y2='1'>"
    "<stop offset='0' stop-color='white' stop-opacity='.55'/>"
    "<stop offset='.35' stop-color='white' stop-opacity='.05'/>"
    "<stop offset='1' stop-color='black' stop-opacity='.5'/></linearGradient>"
    "<linearGradient id='g' x1='0' y1='0' x2='1' y2='1'>"
    "<stop offset='0' stop-color='#dfe9ee'/><stop offset='1' stop-color='#27333b'/>"
    "</linearGradient>"
    "<radialGradient id='r'><stop offset='.5' stop-color='#c9cdd0'/>"
    "<stop offset='.56' stop-color='#33363a'/><stop offset='.62' stop-color='#17181a'/>"
    "</radialGradient></defs>"
    "<ellipse cx='130' cy='91' rx='122' ry='8' fill='black' opacity='.45'/>"
    "<g id='body'><path id='b' fill='%s' d='M8 74 Q6 52 30 48 L66 43 Q92 14 128 13 L160 13 "
    "Q188 16 208 44 L238 50 Q254 54 252 76 Q252 82 244 83 L18 83 Q9 82 8 74 Z'/>"
    "<path fill='url(#p)' d='M8 74 Q6 52 30 48 L66 43 Q92 14 128 13 L160 13 "
    "Q188 16 208 44 L238 50 Q254 54 252 76 Q252 82 244 83 L18 83 Q9 82 8 74 Z'/></g>"
    "<path fill='url(#g)' d='M76 43 Q98 19 126 18 L130 18 L130 44 Z'/>"
    "<path fill='url(#g)' d='M136 18 L158 18 Q182 21 198 44 L136 44 Z'/>"
    "<path stroke='black' stroke-opacity='.45' stroke-width='.7' fill='none' "
    "d='M133 17 V80 M72 46 V78 M200 47 Q204 60 198 79 M14 62 H246'/>"
    "<rect x='140' y='52' width='11' height='2.6' rx='1.3' fill='#d8dadc'/>"
    "<ellipse cx='246' cy='60' rx='5' ry='4' fill='#fdf6d8'/>"
    "<ellipse cx='12' cy='58' rx='3' ry='4' fill='#8c1010'/>"
    "<circle cx='56' cy='80' r='18' fill='url(#r)'/><circle cx='206' cy='80' r='18' "
    "fill='url(#r)'/><circle cx='56' cy='80' r='2' fill='#222'/>"
    "<circle cx='206' cy='80' r='2' fill='#222'/></svg>";

static VipsImage *with_car(struct scene *s, VipsImage *picture, const char *paint)
{
    VipsImage *result;
    g_autofree char *svg = g_strdup_printf(car_svg, paint);
    int x = 300 + s->seed % 11 * 80;
    int y = HEIGHT - 1290;
    MAKE(vips_svgload_buffer(svg, strlen(svg), OUT, NULL));
    VipsImage *car = in_memory(s, result);
    MAKE(vips_crop(picture, OUT, x, y, CAR_WIDTH, CAR_HEIGHT, NULL));
    VipsImage *behind = result;
    MAKE(vips_composite2(behind, car, OUT, VIPS_BLEND_MODE_OVER, NULL));
    VipsImage *both = result;
    MAKE(vips_extract_band(both, OUT, 0, "n", 3, NULL));
    VipsImage *seen = to_bytes(s, result);
    MAKE(vips_insert(picture, seen, OUT, x, y, NULL));
    return result;
}

static VipsImage *as_rgb(struct scene *s, VipsImage *in)
{
    VipsImage *result;
    VipsImage *bytes = to_bytes(s, in);
    MAKE(vips_copy(bytes, OUT, "interpretation", VIPS_INTERPRETATION_sRGB, NULL));
    return result;
}

static VipsImage *paint(struct scene *s, const struct palette *palette)
{
    static const double white[3] = { 250, 250, 252 };
    static const double grey[3] = { 96, 95, 94 };
    VipsImage *y = rows(s);
    double ridge = palette->ridge * HEIGHT;

    VipsImage *sky = tint(s, linear(s, y, 1 / ridge, 0), palette->sky, palette->horizon);
    VipsImage *clouds = to_bytes(s, linear(s, noise(s, 1024, 0.05), 170, 0));
    VipsImage *picture = blend(s, clouds, tint(s, y, white, white), sky);
    VipsImage *hills = ground(s, palette->hill, 256, 0.5);
    picture = blend(s, below_line(s, y, ridge, 320, 1024), hills, picture);
    VipsImage *field = ground(s, palette->field, 64, 1.0);
    picture = blend(s, below_line(s, y, ridge + 420, 60, 512), field, picture);
    VipsImage *road = ground(s, grey, 512, 0.8);
    picture = blend(s, below_line(s, y, HEIGHT - 720, 8, 256), road, picture);
    picture = with_car(s, as_rgb(s, picture), palette->paint);
    return as_rgb(s, add(s, picture, repeat(s, s->grain)));
}

/* What all photos share, as it costs most. */
static bool make_tiles(struct scene *s)
{
    VipsImage *result;
    s->fine = in_memory(s, fractal(s, TILE, TILE, 16, 4));
    MAKE(vips_gaussnoise(OUT, TILE, TILE, "mean", 0.0, "sigma", GRAIN, "seed", 1, NULL));
    s->grain = in_memory(s, result);
    return !s->failed;
}

static bool make_photo(const struct scene *shared, const char *folder, int number)
{
    struct scene scene = { .images = g_ptr_array_new_with_free_func(g_object_unref),
        .fine = shared->fine,
        .grain = shared->grain,
        .seed = number * 1000 };
    g_autofree char *path = g_strdup_printf("%s/car-%d.jpg", folder, number);
    VipsImage *photo = paint(&scene, &palettes[(size_t)(number - 1) % G_N_ELEMENTS(palettes)]);
    bool good = !scene.failed && !vips_jpegsave(photo, path, "Q", QUALITY, "subsample_mode",
                                     VIPS_FOREIGN_SUBSAMPLE_ON, NULL);
    g_ptr_array_unref(scene.images);
    return good;
}

int main(int argc, char **argv)
{
    guint64 count = 0;
    if (argc != 3 || !g_ascii_string_to_unsigned(argv[2], 10, 1, 1000, &count, NULL)) {
        fprintf(stderr, "usage: make_photos FOLDER COUNT\n");
        return 2;
    }
    if (VIPS_INIT(argv[0])) {
        fprintf(stderr, "make_photos: %s\n", vips_error_buffer());
        return 1;
    }
    struct scene shared = { .images = g_ptr_array_new_with_free_func(g_object_unref) };
    bool good = make_tiles(&shared);
    for (guint64 i = 1; good && i <= count; i++)
        good = make_photo(&shared, argv[1], (int)i);
    if (!good)
        fprintf(stderr, "make_photos: %s\n", vips_error_buffer());
    g_ptr_array_unref(shared.images);
    vips_shutdown();
    return good ? 0 : 1;
}
