/*
 * image_record.c - a job that is run again, and finds its outputs made.
 *
 * Beside each output lies a small hidden file of JSON: by which recipe it was made, from which
 * content of the input, which content came of it, and what the return value said. It is
 * believed only as far as it can be checked: the sums must be those of the input and of the
 * output as they are now. So it does not matter in what order files and records come to disk,
 * what else writes to the folder, or whether a record is half a one; what cannot be believed is
 * made again.
 *
 * The recipe is the sum of all settled fields of the output and of the job, by their rows, and
 * of the versions that encode: with a newer one everything is made again.
 */
#include "handlers/image_fields.h"
#include "handlers/image_parts.h"
#include "paths.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Goes up when the same recipe makes something else. */
enum { RECIPE_VERSION = 1, RECORD_BYTES_MAX = 65536 };

/* ---- The recipe -------------------------------------------------------------------------- */

static void add_field(GString *recipe, const struct image_field *field, const void *base)
{
    const void *value = (const char *)base + field->offset;
    g_string_append_printf(recipe, " %s", field->name);
    switch (field->kind) {
    case FIELD_WHOLE:
    case FIELD_FLAG:
    case FIELD_CHOICE:
        g_string_append_printf(recipe, " %d", *(const int *)value);
        break;
    case FIELD_NUMBER:
    case FIELD_SHARPEN:
        g_string_append_printf(recipe, " %.17g", *(const double *)value);
        break;
    case FIELD_COLOUR: {
        const int *colour = value;
        g_string_append_printf(
            recipe, " %d %d %d %d", colour[0], colour[1], colour[2], colour[3]);
        break;
    }
    case FIELD_CROP: {
        const struct image_crop *crop = value;
        g_string_append_printf(
            recipe, " %d %d %d %d", crop->left, crop->top, crop->width, crop->height);
        break;
    }
    case FIELD_POSITION: {
        const struct image_position *position = value;
        g_string_append_printf(
            recipe, " %d %.17g %.17g", position->kind, position->x, position->y);
        break;
    }
    case FIELD_TEXT: /* names of files, and the format, which the caller adds as settled */
    case FIELD_LIST:
        break;
    }
}

static void settle_recipe(const struct image_work *work, size_t index, char sum[IMAGE_SHA256])
{
    const struct image_output *output = &work->request.outputs[index];
    g_autoptr(GString) recipe = g_string_new(NULL);
    g_string_append_printf(recipe, "%d %s %s %d", RECIPE_VERSION, vips_version_string(),
        output->format->name, output->particular);
    for (const struct image_field *f = image_output_fields; f->name != NULL; f++) {
        add_field(recipe, f, output);
    }
    for (const struct image_field *f = image_job_fields; f->name != NULL; f++) {
        add_field(recipe, f, &work->request);
    }
    if (image_sha256(recipe->str, recipe->len, sum)) {
        sum[0] = '\0';
    }
}

/* ---- Reading ----------------------------------------------------------------------------- */

/* Opens a regular file of a folder, if it is one. */
static int open_file(int folder, const char *name, struct stat *st)
{
    int fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd >= 0 && (fstat(fd, st) < 0 || !S_ISREG(st->st_mode))) {
        close(fd);
        return -1;
    }
    return fd;
}

static json_t *read_record(const struct image_place *place)
{
    struct stat st;
    g_autofree char *name = path_record_name(path_leaf(place->file));
    g_autofree char *text = g_malloc(RECORD_BYTES_MAX);
    int fd = open_file(place->folder, name, &st);
    if (fd < 0) {
        return NULL;
    }
    ssize_t len = read(fd, text, RECORD_BYTES_MAX);
    close(fd);
    return len > 0 ? json_loadb(text, (size_t)len, 0, NULL) : NULL;
}

static bool says(const json_t *object, const char *name, const char *text)
{
    const char *value = json_string_value(json_object_get(object, name));
    return value != NULL && *text != '\0' && strcmp(value, text) == 0;
}

/* Whether the output is there, with the content that the record tells of. */
static bool is_there(const struct image_place *place, const json_t *output)
{
    struct stat st;
    char sum[IMAGE_SHA256];
    int fd = open_file(place->folder, path_leaf(place->file), &st);
    if (fd < 0) {
        return false;
    }
    bool same =
        (json_int_t)st.st_size == json_integer_value(json_object_get(output, "bytes")) &&
        image_sha256_file(fd, sum) == 0 && says(output, "sha256", sum);
    close(fd);
    return same;
}

/* What the return value said of the output, with only the fields that it can have; NULL when
 * it is something else. */
static json_t *said_of(const json_t *output)
{
    static const struct {
        const char *name;
        json_type type;
        bool required;
    } known[] = {
        { "width", JSON_INTEGER, true },
        { "height", JSON_INTEGER, true },
        { "format", JSON_STRING, true },
        { "bytes", JSON_INTEGER, true },
        { "quality", JSON_INTEGER, false },
        { "similarity", JSON_REAL, false },
        { "tries", JSON_ARRAY, false },
        { "placeholder", JSON_STRING, false },
        { "pages", JSON_INTEGER, false },
        { "kept", JSON_TRUE, false },
        { "larger", JSON_STRING, false },
        { "sha256", JSON_STRING, true },
    };
    json_t *said = json_object();
    for (size_t i = 0; i < G_N_ELEMENTS(known); i++) {
        json_t *value = json_object_get(output, known[i].name);
        if (value == NULL ? known[i].required : json_typeof(value) != known[i].type) {
            json_decref(said);
            return NULL;
        }
        if (value != NULL) {
            json_object_set(said, known[i].name, value);
        }
    }
    return said;
}

static void look_for(struct image_work *work, size_t index)
{
    struct image_piece *piece = &work->pieces[index];
    int64_t start_us = g_get_monotonic_time();
    settle_recipe(work, index, piece->recipe);
    json_t *record = read_record(&piece->place);
    const json_t *output = json_object_get(record, "output");
    if (says(record, "recipe", piece->recipe) && says(record, "input", work->input.sha256) &&
        is_there(&piece->place, output)) {
        piece->recorded = said_of(output);
    }
    json_decref(record);
    piece->unchanged = piece->recorded != NULL;
    if (piece->unchanged) {
        piece->bytes = (size_t)json_integer_value(json_object_get(piece->recorded, "bytes"));
        piece->us = g_get_monotonic_time() - start_us;
    }
}

void image_records_read(struct image_work *work)
{
    size_t left = 0;
    if (work->options->no_records) {
        return;
    }
    for (size_t i = 0; i < work->request.count; i++) {
        look_for(work, i);
    }
    for (size_t i = 0; i < work->to_make; i++) {
        if (!work->pieces[work->order[i]].unchanged) {
            work->order[left++] = work->order[i];
        }
    }
    work->to_make = left;
}

/* ---- Writing ----------------------------------------------------------------------------- */

/* Not synced: a record that is lost or cut costs one more run. */
static int write_record(const struct image_place *place, const char *text)
{
    g_autofree char *temp = path_random_temp_name();
    g_autofree char *name = path_record_name(path_leaf(place->file));
    int fd =
        openat(place->folder, temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (fd < 0) {
        return -errno;
    }
    ssize_t len = write(fd, text, strlen(text));
    int error = len < 0 ? -errno : (size_t)len < strlen(text) ? -ENOSPC : 0;
    close(fd);
    if (!error && renameat(place->folder, temp, place->folder, name) < 0) {
        error = -errno;
    }
    if (error) {
        unlinkat(place->folder, temp, 0);
    }
    return error;
}

void image_records_write(struct image_work *work)
{
    for (size_t i = 0; !work->options->no_records && i < work->to_make; i++) {
        size_t index = work->order[i];
        const struct image_piece *piece = &work->pieces[index];
        json_t *record = json_pack("{s:s, s:s, s:o}", "input", work->input.sha256, "recipe",
            piece->recipe, "output", image_result_output(work, index));
        char *text = json_dumps(record, JSON_COMPACT | JSON_REAL_PRECISION(6));
        int error = text != NULL ? write_record(&piece->place, text) : -ENOMEM;
        if (error) {
            image_warn(work->warnings, "the record of output \"%s\" cannot be written: %s",
                work->request.outputs[index].file, g_strerror(-error));
        }
        free(text);
        json_decref(record);
    }
}
