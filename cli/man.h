/*
 * man.h - the manual page, made from the rows.
 */
#ifndef OX_CLI_MAN_H
#define OX_CLI_MAN_H

/* The whole page ox(1) as roff text. Heap. `ox completion man` prints it; docs/ox.1 is its
 * output. */
char *man_page(void);

#endif /* OX_CLI_MAN_H */
