/*
 * jobline.h - one line of `ox import`: {"name":..,"data":..,"opts":..}.
 */
#ifndef OX_CLI_JOBLINE_H
#define OX_CLI_JOBLINE_H

#include <stdbool.h>
#include <stddef.h>

struct jobline {
    char *name; /* heap */
    char *data; /* JSON text inside the line, or NULL */
    char *opts; /* likewise */
};

/*
 * Takes a line apart, in place. The values of data and opts are cut out as text and not
 * checked here: the library checks each value before it sends it.
 * @return false with a message in *why (heap)
 */
bool jobline_read(char *line, size_t length, struct jobline *out, char **why);
void jobline_done(struct jobline *line);

#endif /* OX_CLI_JOBLINE_H */
