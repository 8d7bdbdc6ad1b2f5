/* scan.h - scans the keys of a server, page by page, as part of an operation. */
#ifndef OX_LIB_SCAN_H
#define OX_LIB_SCAN_H

#include "queue/query.h"

/* State of a scan. */
struct ox__scan {
    char *prefix, *pattern;
    char cursor[24];  /* empty: not begun */
    redisReply *page; /* the keys are its element 1, an array of texts; NULL: none */
};

/* Every key that begins with `prefix`, taken literally, and goes on as the glob `rest` says. A
 * key may come twice; one that comes or goes meanwhile may be shown or not. */
int ox__scan_init(struct ox__scan *scan, const char *prefix, const char *rest, ox_error *err);
void ox__scan_done(struct ox__scan *scan);
/* Makes the command that reads the next page, which is in `scan->page` when it is answered.
 * Returns 1, or 0 when there is none. */
int ox__scan_next(struct ox__scan *scan, struct ox__query *query);

#endif /* OX_LIB_SCAN_H */
