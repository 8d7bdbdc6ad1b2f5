/*
 * private_words.c - see private_words.h.
 */
#include "private_words.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAX_BYTES ((gsize)1 << 20) /* more than a socket takes at once */

int private_words_send(char *const *words)
{
    int ends[2], size = MAX_BYTES;
    g_autoptr(GString) all = g_string_new(NULL);
    for (; *words != NULL; words++) {
        g_string_append_len(all, *words, (gssize)strlen(*words) + 1);
    }
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0) {
        return -errno;
    }
    setsockopt(ends[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof size); /* or as much as may be */
    ssize_t sent =
        all->len > 0 ? send(ends[1], all->str, all->len, MSG_DONTWAIT | MSG_NOSIGNAL) : 0;
    int error = sent < 0 && errno != EAGAIN ? errno : E2BIG;
    close(ends[1]);
    if (sent < 0 || (gsize)sent < all->len) {
        close(ends[0]);
        return -error;
    }
    return ends[0];
}

/* All that is there, within the limit. */
static bool read_all(GString *all)
{
    char piece[4096];
    ssize_t got = 1;
    while (got != 0 && all->len <= MAX_BYTES) {
        got = read(STDIN_FILENO, piece, sizeof piece);
        if (got < 0 && errno != EINTR) {
            return false;
        }
        g_string_append_len(all, piece, MAX(got, 0));
    }
    return got == 0;
}

static void close_stdin(void)
{
    int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (nothing >= 0) {
        dup2(nothing, STDIN_FILENO);
        close(nothing);
    }
}

static void take_word(const char *word, GPtrArray *options)
{
    const char *equals = strchr(word, '=');
    if (g_str_has_prefix(word, "--")) {
        g_ptr_array_add(options, g_strdup(word));
    } else if (equals != NULL && equals > word) {
        g_autofree char *name = g_strndup(word, (gsize)(equals - word));
        g_setenv(name, equals + 1, TRUE);
    }
}

bool private_words_take(GPtrArray *options)
{
    g_autoptr(GString) all = g_string_new(NULL);
    bool good = read_all(all);
    close_stdin();
    for (gsize at = 0; good && at < all->len; at += strlen(all->str + at) + 1) {
        take_word(all->str + at, options);
    }
    return good;
}
