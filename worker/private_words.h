/*
 * private_words.h - what a child is told and nobody else is to see.
 *
 * Every user of a machine can read a process's command line, and every process of the same user
 * its environment, until the process closes itself to them. So what may be secret comes another
 * way: on the child's stdin, which is a socket that has been written before the child starts.
 * (Unlike a pipe, it cannot be opened by its name in /proc.) Each word ends in a NUL: an option
 * of the handler, "--name=value", or a variable of the environment, "NAME=value".
 */
#ifndef OX_WORKER_PRIVATE_WORDS_H
#define OX_WORKER_PRIVATE_WORDS_H

#include <glib.h>
#include <stdbool.h>

/* A descriptor that is to be the stdin of a process, from which it can read these words (ended
 * by NULL); a negative errno, E2BIG when they are too long. */
int private_words_send(char *const *words);

/* Reads the words from stdin, which is /dev/null afterwards. Sets the variables among them, and
 * adds the options (heap) to `options`. False when there is more than a parent sends. */
bool private_words_take(GPtrArray *options);

#endif /* OX_WORKER_PRIVATE_WORDS_H */
