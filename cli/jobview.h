/*
 * jobview.h - prints one job with its logs and children.
 */
#ifndef OX_CLI_JOBVIEW_H
#define OX_CLI_JOBVIEW_H

#include "cmd.h"

/* Prints the job with its newest `logs` log rows. Returns an enum status; reports failures. */
int jobview_print(struct run *run, ox_queue *queue, const char *id, int64_t logs);

#endif /* OX_CLI_JOBVIEW_H */
