/*
 * paths.h - opening files that a job names, without ever leaving the root.
 *
 * A path of a job is relative to the root and stays below it: no "..", no leading "/", and no
 * symbolic link that leads out, not even one that is put there while the path is being
 * opened. Functions that open return a descriptor, or a negative errno. EXDEV means that the
 * path leaves the root.
 */
#ifndef OX_WORKER_PATHS_H
#define OX_WORKER_PATHS_H

#include <stdbool.h>

/* Opens the root itself: any folder the operator names. A descriptor, or a negative errno. */
int path_open_root(const char *root);

/* What is wrong with the text of a path, as the end of a sentence ("is empty"), or NULL. */
const char *path_problem(const char *path);

/* Opens an existing file or folder below the root; `flags` as for open(2), without O_CREAT. */
int path_open(int root, const char *path, int flags);

/* The same without openat2(2), for kernels that lack it (before 5.6): component by component,
 * following no symbolic link at all (ELOOP). path_open() falls back to it by itself. */
int path_open_stepwise(int root, const char *path, int flags);

/* Opens the folder that holds `path`, making the missing folders on the way. */
int path_open_folder(int root, const char *path);

/* The name of the temporary file for an output, which follows from the output's own last
 * component alone (g_free). */
char *path_temp_name(const char *leaf);

/* One that nothing else has (g_free). */
char *path_random_temp_name(void);

/* Whether a file's name is exactly of that form, or of the random ones that stand in for it. */
bool path_is_temp_name(const char *name);

/* The name of the record of how an output was made, likewise (g_free). */
char *path_record_name(const char *leaf);

/* Whether a component looks like one of these names: an output may not have it, or it would be
 * written over, or cleared as a leftover. */
bool path_is_ours(const char *path);

/* The last component of a path that path_problem() passed; borrowed from it. */
const char *path_leaf(const char *path);

/* Why an open failed, as the end of a sentence ("leaves the root folder"); never NULL. */
const char *path_reason(int error);

/* True when the failure lies in the path itself, so that trying again cannot help; false for
 * what may pass: a full disk, a missing file, a permission, too many open files. */
bool path_hopeless(int error);

#endif /* OX_WORKER_PATHS_H */
