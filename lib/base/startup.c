/*
 * startup.c - see startup.h.
 *
 * /dev/null is opened in the wrong direction, stdin for writing and the others for reading:
 * writing a result to a closed stdout must fail, not seem to succeed.
 */
#include "base/startup.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define URL_MAX_BYTES 4096
#define SHOWN_STARS 3

void ox__startup_open_streams(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF &&
            open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) != fd) {
            _exit(127); /* without /dev/null output could go to a wrong file */
        }
    }
}

/* Takes the password out of "scheme://user:password@host", in place. The rest is filled with
 * NUL, so that not even its length is shown. */
static void hide_password(char *text)
{
    char *scheme = strstr(text, "://"), *at = strrchr(text, '@');
    char *colon = scheme != NULL && at > scheme + 3
                      ? memchr(scheme + 3, ':', (size_t)(at - scheme - 3))
                      : NULL;
    if (colon == NULL) {
        return;
    }
    char *password = colon + 1;
    size_t length = (size_t)(at - password), rest = strlen(at);
    size_t stars = MIN(length, SHOWN_STARS);
    memset(password, '*', stars);
    memmove(password + stars, at, rest);
    memset(password + stars + rest, '\0', length - stars);
}

/* The variable moves to where /proc does not look; its password is removed from where it was.
 */
static void hide_variable(const char *name)
{
    char *value = getenv(name);
    g_autofree char *copy = g_strdup(value);
    if (value != NULL && setenv(name, copy, 1) == 0 && getenv(name) != value) {
        hide_password(value);
    }
}

char **ox__startup_take_arguments(int argc, char **argv)
{
    char **copy = g_new0(char *, (gsize)argc + 1);
    for (int i = 0; i < argc; i++) {
        copy[i] = g_strdup(argv[i]);
        hide_password(argv[i]);
    }
    hide_variable("OX_REDIS_URL");
    hide_variable("REDIS_URL");
    return copy;
}

/* Reads at most `size` bytes; returns how many, or a negative errno. */
static ssize_t read_some(int fd, char *bytes, size_t size)
{
    size_t total = 0;
    ssize_t got = 1;
    while (total < size && got != 0) {
        got = read(fd, bytes + total, size - total);
        if (got < 0 && errno != EINTR) {
            return -errno;
        }
        total += got > 0 ? (size_t)got : 0;
    }
    return (ssize_t)total;
}

bool ox__startup_read_url(const char *given, char **url, bool *exposed, char **problem)
{
    char text[URL_MAX_BYTES + 1];
    struct stat about = { 0 };
    *url = NULL;
    *exposed = false;
    if (*given != '@') {
        *url = g_strdup(given);
        return true;
    }
    const char *path = given + 1;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -errno : read_some(fd, text, URL_MAX_BYTES);
    *exposed = fd >= 0 && fstat(fd, &about) == 0 && S_ISREG(about.st_mode) &&
               (about.st_mode & S_IROTH);
    if (fd >= 0) {
        close(fd);
    }
    text[MAX(got, 0)] = '\0';
    text[strcspn(text, "\r\n")] = '\0';
    if (got < 0) {
        *problem = g_strdup_printf("cannot read %s: %s", path, g_strerror((int)-got));
    } else if (!*g_strstrip(text)) {
        *problem = g_strdup_printf("the first line of %s is empty; it is a URL", path);
    } else if (*text == '@' || strlen(text) == URL_MAX_BYTES) {
        *problem = g_strdup_printf("the first line of %s is not a URL", path);
    } else {
        *url = g_strdup(text);
    }
    return *url != NULL;
}
