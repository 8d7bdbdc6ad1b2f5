/*
 * sibling.h - programs of handlers beside this one: PROGRAM-NAME runs the handler NAME.
 */
#ifndef OX_WORKER_SIBLING_H
#define OX_WORKER_SIBLING_H

/* Becomes the program of that handler. Returns only when there is none, or it cannot start. */
void sibling_become(const char *handler, char **argv);

/* Has each of them list its handlers on our stdout. */
void sibling_list(void);

#endif /* OX_WORKER_SIBLING_H */
