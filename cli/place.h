/*
 * place.h - the folder of `ox dev`: data, log, lock, and where the server listens.
 *
 * The lock is a file that is kept locked for as long as anything of it runs. The server
 * inherits it, so that a second `ox dev` finds it locked even while the first one is gone and
 * its server still writes its data out.
 */
#ifndef OX_CLI_PLACE_H
#define OX_CLI_PLACE_H

#include "cmd.h"

struct place {
    char *dir;        /* absolute */
    char *socket;     /* absolute path of the server's socket */
    char *url;        /* unix://... */
    char *log;        /* the server's log */
    char *socket_dir; /* made for the socket, when `dir` is too long for one; else NULL */
    int lock_fd;      /* -1: not locked */
};

/* Makes the folder (NULL: .ox) if it does not exist, locks it and makes its contents private.
 * Returns an enum status; reports failures. place_done() must be called in any case. */
int place_open(struct run *run, struct place *place, const char *dir);
void place_done(struct place *place);

#endif /* OX_CLI_PLACE_H */
