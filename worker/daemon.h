/*
 * daemon.h - ox-worker as a whole: its loop, its queues, its signals.
 */
#ifndef OX_WORKER_DAEMON_H
#define OX_WORKER_DAEMON_H

struct settings;

/* To be called first of all in main(): a signal that comes before daemon_run() is seen to
 * there. */
void daemon_catch_signals(void);

/* Works until it is told to stop. `words` are the command line that the settings are from; they
 * are read again with the settings file. Returns the exit status; what went wrong before the
 * first job was said on stderr. */
int daemon_run(struct settings *settings, char **words);

#endif /* OX_WORKER_DAEMON_H */
