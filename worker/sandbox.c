/*
 * sandbox.c - see sandbox.h.
 */
#include "sandbox.h"

#include <errno.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Root writes files of other users, and gives them away; who is not root has none of these. */
#define KEPT_CAPABILITIES                                                                      \
    (1u << CAP_CHOWN | 1u << CAP_DAC_OVERRIDE | 1u << CAP_DAC_READ_SEARCH | 1u << CAP_FOWNER | \
        1u << CAP_FSETID)

static int drop_capabilities(void)
{
    struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
    if (syscall(SYS_capget, &head, data) < 0) {
        return -errno;
    }
    for (int i = 0; i < _LINUX_CAPABILITY_U32S_3; i++) {
        data[i].permitted &= i == 0 ? KEPT_CAPABILITIES : 0;
        data[i].effective &= i == 0 ? KEPT_CAPABILITIES : 0;
        data[i].inheritable = 0;
    }
    return syscall(SYS_capset, &head, data) < 0 ? -errno : 0;
}

void sandbox_confine(const struct handler_config *config, struct sandbox_needs *out)
{
    (void)config;
    *out = (struct sandbox_needs){ .confined = true };
}

static void lack(struct sandbox_layers *layers, const char *layer, int error)
{
    if (layers->missing == NULL) {
        layers->missing = layer;
        layers->error = error;
    }
}

void sandbox_enter(const struct sandbox_needs *needs, struct sandbox_layers *out)
{
    *out = (struct sandbox_layers){ 0 };
    out->no_new_privs = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
    if (!out->no_new_privs) {
        lack(out, "no_new_privs", errno);
    }
    if (!needs->confined) {
        return;
    }
    int status = drop_capabilities();
    if (status < 0) {
        lack(out, "capabilities", -status);
    }
    status = landlock_enter(needs);
    out->landlock = MAX(status, 0);
    if (status < 0) {
        lack(out, "landlock", -status);
    }
    status = syscalls_enter(needs);
    out->seccomp = status == 0;
    if (status < 0) {
        lack(out, "seccomp", -status);
    }
}

/* The pointer in it is to a constant, and the same in both processes. */
void sandbox_probe(const struct sandbox_needs *needs, struct sandbox_layers *out)
{
    int ends[2];
    *out = (struct sandbox_layers){ .missing = "a process to try it", .error = EAGAIN };
    if (pipe(ends) < 0) {
        return;
    }
    pid_t pid = fork();
    if (pid == 0) {
        sandbox_enter(needs, out);
        _exit(write(ends[1], out, sizeof *out) == sizeof *out ? 0 : 1);
    }
    close(ends[1]);
    if (read(ends[0], out, sizeof *out) != sizeof *out) {
        *out = (struct sandbox_layers){ .missing = "a process to try it", .error = EAGAIN };
    }
    close(ends[0]);
    if (pid > 0) {
        waitpid(pid, NULL, 0);
    }
}
