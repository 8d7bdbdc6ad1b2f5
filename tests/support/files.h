/*
 * files.h - temporary folders and small files for tests.
 *
 * Everything a test program makes lies in one folder of its own, below $TMPDIR or /tmp. It
 * goes away when the program ends, however it ends: a small process waits for that and
 * removes it.
 */
#ifndef OX_TESTS_FILES_H
#define OX_TESTS_FILES_H

#include <stdbool.h>
#include <stddef.h>

/** A fresh empty folder. The path is the caller's (g_free). Fails the test on error. */
char *test_dir_new(void);

/** Removes a file or a folder with all that is in it; links are not followed. */
void test_remove(const char *path);

/** Writes a file, whole. `bytes` of -1: up to the NUL. Fails the test on error. */
void test_write(const char *path, const char *text, long bytes);

/** Reads a file, whole and NUL-terminated; the caller frees it (g_free). NULL when there is
 *  none. `bytes`, may be NULL, gets the length. */
char *test_read(const char *path, size_t *bytes);

/** The public headers, one behind another; the caller frees them (g_free). */
char *test_headers(void);

/** The build folder: $OX_BUILD, else the one this program was built in. Borrowed. */
const char *test_build_dir(void);

/** `name` in the build folder when it is there, else `name` as it is. The caller's (g_free). */
char *test_program(const char *name);

#endif /* OX_TESTS_FILES_H */
