/*
 * hostile.h - for the tests of bad images: makes files bad in a known way, and sees that each
 * ends in one clear sentence, soon, with nothing left.
 */
#ifndef OX_TESTS_HOSTILE_H
#define OX_TESTS_HOSTILE_H

#include "photos.h"

#include <fcntl.h>

/* Reads a file below the root as bytes to be changed. */
static inline GByteArray *bytes_of(const char *file)
{
    g_autofree char *path = at(file);
    size_t len = 0;
    char *text = test_read(path, &len);
    if (text == NULL)
        test_fatal("cannot read %s", file);
    return g_byte_array_new_take((guint8 *)text, len);
}

/* Writes the bytes as a file that has been there for an hour. */
static inline void put(const char *file, const void *data, size_t len)
{
    g_autofree char *path = at(file);
    g_autofree char *folder = g_path_get_dirname(path);
    g_mkdir_with_parents(folder, 0755);
    test_write(path, data, (long)len);
    age(file);
}

/* Where some bytes are in a file; ends the test when they are not. */
static inline guint find(const GByteArray *in, const char *bytes, guint len)
{
    const guint8 *found = memmem(in->data, in->len, bytes, len);
    if (found == NULL)
        test_fatal("these bytes are not in the file");
    return (guint)(found - in->data);
}

static inline void insert(GByteArray *to, guint where, const void *bytes, guint len)
{
    g_byte_array_set_size(to, to->len + len);
    memmove(to->data + where + len, to->data + where, to->len - len - where);
    memcpy(to->data + where, bytes, len);
}

/* Two outputs, or one, from IN, with more fields before them ("\"fail_on\":\"none\","). */
static inline char *hostile_job(const char *in, const char *fields, bool two)
{
    return g_strdup_printf("{\"input\":\"%s\",%s\"outputs\":[{\"file\":\"hostile/out.webp\","
                           "\"width\":40}%s]}",
        in, fields, two ? ",{\"file\":\"hostile/out.png\",\"width\":60}" : "");
}

static inline void expect_nothing_left(const char *in)
{
    if (count_files("hostile") > 0)
        test_fatal("%s failed and left something: %s", in, last.reason);
}

/* Runs jobs on the file with one output and two: both must end so, for the reason. */
static inline void expect_end(
    enum handler_result result, const char *part, const char *in, const char *fields)
{
    for (int two = 0; two < 2; two++) {
        g_autofree char *data = hostile_job(in, fields, two);
        run_badly(result, part, data);
        expect_nothing_left(in);
    }
}

/* Both must do, and `warning` is in what they return, unless it is NULL: then no warning is. */
static inline void expect_taken(const char *in, const char *fields, const char *warning)
{
    for (int two = 0; two < 2; two++) {
        g_autofree char *data = hostile_job(in, fields, two);
        run_well(data);
        json_t *list = json_object_get(last.value, "warnings");
        g_autofree char *text = json_dumps(list, JSON_ENCODE_ANY);
        if ((warning == NULL) != (list == NULL) || (warning && !strstr(text, warning)))
            test_fatal("%s: the warnings are %s", in, text ? text : "none");
        g_autofree char *folder = at("hostile");
        test_remove(folder);
    }
}

#endif /* OX_TESTS_HOSTILE_H */
