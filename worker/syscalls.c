/*
 * syscalls.c - forbids this process system calls, by a filter of seccomp.
 *
 * What is forbidden fails with EPERM, as if the user had no right to it, so that a library
 * which merely tries goes on without. The list is of what no handler does, or what a handler
 * says it does not need; all else is allowed, because what a C library calls changes with every
 * version. Calls of another architecture than this program's end the process.
 */
#include <errno.h>
#include <linux/netlink.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "sandbox.h"

#define NAMESPACES                                                                             \
    (CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | \
        CLONE_NEWCGROUP)

#define CALL(name) SCMP_SYS(name)

/* Some reach around the other layers (io_uring has sockets of its own), the rest only serve
 * attacks on the kernel or on other processes. */
static const int never[] = { CALL(acct), CALL(add_key), CALL(adjtimex), CALL(bpf), CALL(chroot),
    CALL(clock_adjtime), CALL(clock_settime), CALL(delete_module), CALL(finit_module),
    CALL(fsconfig), CALL(fsmount), CALL(fsopen), CALL(fspick), CALL(init_module),
    CALL(io_uring_enter), CALL(io_uring_register), CALL(io_uring_setup), CALL(ioperm),
    CALL(iopl), CALL(kcmp), CALL(kexec_file_load), CALL(kexec_load), CALL(keyctl),
    CALL(lookup_dcookie), CALL(mount), CALL(mount_setattr), CALL(move_mount), CALL(move_pages),
    CALL(name_to_handle_at), CALL(nfsservctl), CALL(open_by_handle_at), CALL(open_tree),
    CALL(perf_event_open), CALL(personality), CALL(pidfd_getfd), CALL(pivot_root),
    CALL(process_madvise), CALL(process_vm_readv), CALL(process_vm_writev), CALL(quotactl),
    CALL(quotactl_fd), CALL(reboot), CALL(request_key), CALL(setdomainname), CALL(sethostname),
    CALL(setns), CALL(settimeofday), CALL(swapoff), CALL(swapon), CALL(syslog), CALL(umount),
    CALL(umount2), CALL(unshare), CALL(uselib), CALL(userfaultfd), CALL(vhangup) };

static const int tracing[] = { CALL(ptrace) };

/* A sanitizer's search for leaks does so, by a process that is made with CLONE_UNTRACED. */
#if defined(__SANITIZE_ADDRESS__)
#define TRACES_ITSELF true
#define NO_NEW_PROCESS (CLONE_THREAD | CLONE_UNTRACED)
#else
#define TRACES_ITSELF false
#define NO_NEW_PROCESS CLONE_THREAD
#endif

static const int network[] = { CALL(socket), CALL(socketpair), CALL(connect), CALL(bind),
    CALL(listen), CALL(accept), CALL(accept4) };

static const int serving[] = { CALL(listen), CALL(accept), CALL(accept4) };

/* Modes, owners, times and attributes of files, by their paths: Landlock has no say in them.
 * What an open file allows remains, which SQLite needs; so a handler may change what it may
 * read, if it owns that. The last four are younger than libseccomp's names. */
static const int attributes[] = { CALL(chmod), CALL(chown), CALL(fchmodat), CALL(fchownat),
    CALL(futimesat), CALL(lchown), CALL(lremovexattr), CALL(lsetxattr), CALL(removexattr),
    CALL(setxattr), CALL(utime), CALL(utimensat), CALL(utimes), 452 /* fchmodat2 */,
    463 /* setxattrat */, 466 /* removexattrat */, 469 /* file_setattr */ };

static const int programs[] = { CALL(execve), CALL(execveat), CALL(fork), CALL(vfork) };

/* Calls that this architecture does not have are passed over. */
static int forbid(scmp_filter_ctx filter, const int *calls, size_t count)
{
    int status = 0;
    for (size_t i = 0; status == 0 && i < count; i++) {
        status = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), calls[i], 0);
        status = status == -EDOM || status == -EFAULT ? 0 : status;
    }
    return status;
}

/* Threads are made by clone() with flags in a register; those of clone3() lie in memory, where
 * a filter cannot look, and without it the C library takes the other. Input that is typed into
 * a terminal is the terminal's. */
static int forbid_by_argument(scmp_filter_ctx filter, const struct sandbox_needs *needs)
{
    const uint32_t refuse = SCMP_ACT_ERRNO(EPERM);
    int status = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), CALL(clone3), 0);
    for (unsigned flag = 1; status == 0 && flag != 0; flag <<= 1) {
        if (flag & NAMESPACES) {
            status = seccomp_rule_add(
                filter, refuse, CALL(clone), 1, SCMP_A0(SCMP_CMP_MASKED_EQ, flag, flag));
        }
    }
    if (status == 0 && !needs->programs) {
        status = seccomp_rule_add(
            filter, refuse, CALL(clone), 1, SCMP_A0(SCMP_CMP_MASKED_EQ, NO_NEW_PROCESS, 0));
    }
    if (status == 0) {
        status = seccomp_rule_add(
            filter, refuse, CALL(ioctl), 1, SCMP_A1(SCMP_CMP_MASKED_EQ, UINT32_MAX, TIOCSTI));
    }
    return status;
}

/* Who connects needs bind() and netlink as well: the C library asks so which kinds of addresses
 * this machine has, by the one protocol of netlink whose number is 0. */
static int forbid_families(scmp_filter_ctx filter)
{
    const uint32_t refuse = SCMP_ACT_ERRNO(EPERM);
    int status = seccomp_rule_add(
        filter, refuse, CALL(socket), 1, SCMP_A0(SCMP_CMP_GT, (scmp_datum_t)AF_NETLINK, 0));
    if (status == 0) {
        status = seccomp_rule_add(filter, refuse, CALL(socket), 2,
            SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)AF_NETLINK, 0),
            SCMP_A2(SCMP_CMP_NE, NETLINK_ROUTE, 0));
    }
    for (int family = 0; status == 0 && family < AF_NETLINK; family++) {
        if (family != AF_UNIX && family != AF_INET && family != AF_INET6) {
            status = seccomp_rule_add(
                filter, refuse, CALL(socket), 1, SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)family, 0));
        }
    }
    return status;
}

static int forbid_network(scmp_filter_ctx filter, const struct sandbox_needs *needs)
{
    if (needs->network) {
        return 0;
    }
    if (!needs->connects) {
        return forbid(filter, network, G_N_ELEMENTS(network));
    }
    int status = forbid(filter, serving, G_N_ELEMENTS(serving));
    return status == 0 ? forbid_families(filter) : status;
}

int syscalls_enter(const struct sandbox_needs *needs)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    if (filter == NULL) {
        return -ENOMEM;
    }
    int status = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    if (status == 0) {
        status = forbid(filter, never, G_N_ELEMENTS(never));
    }
    if (status == 0 && !TRACES_ITSELF) {
        status = forbid(filter, tracing, G_N_ELEMENTS(tracing));
    }
    if (status == 0) {
        status = forbid_network(filter, needs);
    }
    if (status == 0 && !needs->programs) {
        status = forbid(filter, programs, G_N_ELEMENTS(programs));
    }
    if (status == 0 && !needs->programs) { /* which change files below their root */
        status = forbid(filter, attributes, G_N_ELEMENTS(attributes));
    }
    if (status == 0) {
        status = forbid_by_argument(filter, needs);
    }
    if (status == 0) {
        status = seccomp_load(filter);
    }
    seccomp_release(filter);
    return status;
}
