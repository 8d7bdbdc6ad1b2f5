/* install.c - loads the library of Redis functions, for publishers that do not have Ox. */
#include "base/error.h"
#include "events/operations.h"
#include "scripts.h"

#include <string.h>

int ox__install_query(struct ox__query *query)
{
    ox__query_command(query, NULL, "FUNCTION");
    ox__op_text(&query->op, "", "LOAD");
    ox__op_text(&query->op, "", "REPLACE");
    ox__op_bytes(&query->op, "library", ox__library, ox__library_len);
    return 0;
}

int ox_client_install(ox_client *client, ox_error *err)
{
    struct ox__query query = { .at = NULL };
    ox_error why = { 0 };
    OX__NEED(client, err);
    ox__install_query(&query);
    int rc = ox__run(client, &query, &why);
    ox__query_done(&query);
    if (rc == OX_ESERVER && strstr(why.text, "unknown command") != NULL) {
        return ox__fail(err, rc,
            "the server has no functions, which publishing by FCALL needs: they came with "
            "Redis 7");
    }
    return rc < 0 ? ox__fail(err, rc, "%s", why.text) : 0;
}
