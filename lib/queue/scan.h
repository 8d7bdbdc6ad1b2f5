/* scan.h - walking over the keys of a server, page by page. */
#ifndef OX_LIB_SCAN_H
#define OX_LIB_SCAN_H

#include "queue/query.h"

/* One page: an array of texts. It may call the client. Returns 0 or a failure, which ends the
 * scan. */
typedef int ox__page_fn(void *arg, const redisReply *keys, ox_error *err);

/* Shows every key that begins with `prefix`, taken literally, and goes on as the glob `rest`
 * says. A key may be shown twice; one that comes or goes meanwhile may be shown or not. */
int ox__scan(ox_client *client, const char *prefix, const char *rest, ox__page_fn *page,
    void *arg, ox_error *err);

#endif /* OX_LIB_SCAN_H */
