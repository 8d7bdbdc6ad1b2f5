/*
 * image_fit.c - the size of an output, by sharp's rules.
 *
 * The input is shrunk by one factor in each direction. Both factors are the same unless the
 * fit is `fill`; below 1 they enlarge, which only `enlarge` allows. Pure arithmetic: no image
 * is touched here.
 */
#include "handlers/image_parts.h"

#include <math.h>

struct shrink {
    double h, v;
};

/* Factors before the question of enlarging. */
static struct shrink wanted_shrink(int width, int height, const struct image_output *output)
{
    double h = output->width ? (double)width / output->width : 0;
    double v = output->height ? (double)height / output->height : 0;
    if (output->fit == FIT_FILL) {
        return (struct shrink){ h > 0 ? h : 1, v > 0 ? v : 1 };
    }
    double both = 1;
    if (h > 0 && v > 0) {
        both = output->fit == FIT_COVER || output->fit == FIT_OUTSIDE ? fmin(h, v) : fmax(h, v);
    } else if (h > 0 || v > 0) {
        both = fmax(h, v);
    }
    return (struct shrink){ both, both };
}

static int scaled(int side, double shrink, bool enlarge)
{
    double factor = enlarge ? shrink : fmax(shrink, 1);
    double pixels = floor(side / factor + 0.5);
    return (int)CLAMP(pixels, 1, IMAGE_MAX_SIDE);
}

/* Where the window of `cover` begins in one direction. The middle is rounded as sharp does. */
static int window_start(const struct image_position *position, double at, int scaled, int side)
{
    int room = scaled - side;
    if (position->kind == POSITION_FOCAL) {
        return (int)CLAMP(floor(at * scaled - side / 2.0 + 0.5), 0, room);
    }
    return at < 0.5 ? 0 : at > 0.5 ? room : (room + 1) / 2;
}

/* Where the picture begins on the canvas of `contain`. */
static int picture_start(double at, int scaled, int side)
{
    int room = side - scaled;
    return at < 0.5 ? 0 : at > 0.5 ? room : room / 2;
}

static bool is_search(const struct image_position *position)
{
    return position->kind == POSITION_ATTENTION || position->kind == POSITION_ENTROPY;
}

struct image_plan image_fit(int width, int height, const struct image_output *output)
{
    struct image_crop view = output->crop;
    if (view.width == 0) {
        view = (struct image_crop){ 0, 0, width, height };
    }
    width = view.width;
    height = view.height;
    const struct image_position *position = &output->position;
    struct shrink shrink = wanted_shrink(width, height, output);
    struct image_plan plan = {
        .view = view,
        .scaled_width = scaled(width, shrink.h, output->enlarge),
        .scaled_height = scaled(height, shrink.v, output->enlarge),
    };
    plan.width = plan.scaled_width;
    plan.height = plan.scaled_height;
    if (output->fit == FIT_COVER && output->width && output->height) {
        plan.width = MIN(plan.scaled_width, output->width);
        plan.height = MIN(plan.scaled_height, output->height);
        plan.left = window_start(position, position->x, plan.scaled_width, plan.width);
        plan.top = window_start(position, position->y, plan.scaled_height, plan.height);
        plan.search = is_search(position) ? position->kind : 0;
    } else if (output->fit == FIT_CONTAIN) {
        plan.width = MAX(plan.scaled_width, output->width);
        plan.height = MAX(plan.scaled_height, output->height);
        plan.left = picture_start(position->x, plan.scaled_width, plan.width);
        plan.top = picture_start(position->y, plan.scaled_height, plan.height);
    }
    return plan;
}
