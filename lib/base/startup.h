/*
 * startup.h - first steps of the programs: descriptors 0 to 2 are opened, and passwords are
 * removed from the command line and from what /proc shows of the environment.
 */
#ifndef OX_LIB_BASE_STARTUP_H
#define OX_LIB_BASE_STARTUP_H

#include <stdbool.h>

/* Opens /dev/null on those of stdin, stdout and stderr that are closed. Else the first file or
 * connection would get one of these numbers, and output would be sent to Redis. Reading stdin
 * and writing to the others then fail with EBADF, so that a program notices. */
void ox__startup_open_streams(void);

/* A copy of the arguments (g_strfreev), after which the passwords of URLs are overwritten in
 * the originals, which ps(1) shows to every user of the machine; and in the environment that
 * /proc shows to the same user, where programs still find it whole. */
char **ox__startup_take_arguments(int argc, char **argv);

/* The server's URL, from "@FILE" the first line of that file.
 * @param url      out, g_free; NULL on failure
 * @param exposed  out: every user of the machine may read the file
 * @param problem  out, g_free: why there is none
 * @return false on failure */
bool ox__startup_read_url(const char *given, char **url, bool *exposed, char **problem);

#endif /* OX_LIB_BASE_STARTUP_H */
