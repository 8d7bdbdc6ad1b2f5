/*
 * landlock.c - confines this process to some files, by Landlock.
 *
 * The kernel's interface has versions, of which each can forbid more; a process forbids all
 * that it knows of and the kernel does, and allows again what is needed below some paths. Names
 * and numbers stand here because they are younger than the headers of the systems that Ox is
 * built on. What is not there cannot be allowed, and is passed over.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sandbox.h"

#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_add_rule 445
#define SYS_landlock_restrict_self 446
#endif
#define CREATE_RULESET_VERSION 1u
#define RULE_PATH_BENEATH 1

#define EXECUTE (UINT64_C(1) << 0)
#define WRITE_FILE (UINT64_C(1) << 1)
#define READ_FILE (UINT64_C(1) << 2)
#define READ_DIR (UINT64_C(1) << 3)
#define REMOVE_DIR (UINT64_C(1) << 4)
#define REMOVE_FILE (UINT64_C(1) << 5)
#define MAKE_CHAR (UINT64_C(1) << 6)
#define MAKE_DIR (UINT64_C(1) << 7)
#define MAKE_REG (UINT64_C(1) << 8)
#define MAKE_SOCK (UINT64_C(1) << 9)
#define MAKE_FIFO (UINT64_C(1) << 10)
#define MAKE_BLOCK (UINT64_C(1) << 11)
#define MAKE_SYM (UINT64_C(1) << 12)
#define REFER (UINT64_C(1) << 13)     /* links and renames between folders; version 2 */
#define TRUNCATE (UINT64_C(1) << 14)  /* 3 */
#define IOCTL_DEV (UINT64_C(1) << 15) /* 5 */

#define OF_FILES (EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV)
#define READ (READ_FILE | READ_DIR)
#define WRITE                                                                                  \
    (WRITE_FILE | REMOVE_DIR | REMOVE_FILE | MAKE_DIR | MAKE_REG | MAKE_SYM | REFER | TRUNCATE)

/* Version 4 knows TCP, 6 abstract sockets and signals; each takes a longer struct. */
struct ruleset {
    uint64_t files, net, scopes;
};

struct path_beneath {
    uint64_t allowed;
    int32_t fd;
} __attribute__((packed));

/* What every program reads, besides what it has mapped already. */
static const char *const common[] = { "/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/local/lib",
    "/lib", "/lib32", "/lib64", "/etc/ld.so.cache", "/etc/localtime", "/etc/fonts",
    "/usr/share/zoneinfo", "/usr/share/locale", "/usr/share/mime", "/usr/share/fonts",
    "/usr/share/color", "/dev/null", "/dev/zero", "/dev/random", "/dev/urandom", "/proc/self",
    "/sys/devices/system/cpu", NULL };

/* And what programs need that somebody else wrote. */
static const char *const for_programs[] = { "/usr", "/bin", "/sbin", "/opt", "/nix", "/proc",
    "/sys/fs/cgroup", "/dev/full", "/dev/fd", "/etc/alternatives", "/etc/ca-certificates",
    "/etc/gai.conf", "/etc/group", "/etc/host.conf", "/etc/hostname", "/etc/hosts",
    "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/locale.alias", "/etc/mime.types",
    "/etc/nsswitch.conf", "/etc/passwd", "/etc/pki", "/etc/protocols", "/etc/resolv.conf",
    "/etc/services", "/etc/ssl", "/etc/timezone", NULL };

static uint64_t known_files(int version)
{
    uint64_t known = REFER - 1;
    known |= version >= 2 ? REFER : 0;
    known |= version >= 3 ? TRUNCATE : 0;
    known |= version >= 5 ? IOCTL_DEV : 0;
    return known;
}

/* 0, also when there is no such path, or a negative errno. */
static int allow(int ruleset, const char *path, uint64_t rights)
{
    int fd = open(path, O_PATH | O_CLOEXEC);
    if (fd < 0) {
        return 0;
    }
    struct path_beneath rule = { rights, fd };
    long status = syscall(SYS_landlock_add_rule, ruleset, RULE_PATH_BENEATH, &rule, 0);
    if (status < 0 && errno == EINVAL) { /* not a folder */
        rule.allowed &= OF_FILES;
        status = syscall(SYS_landlock_add_rule, ruleset, RULE_PATH_BENEATH, &rule, 0);
    }
    int error = errno;
    close(fd);
    return status < 0 ? -error : 0;
}

static int allow_all(int ruleset, const char *const *paths, uint64_t rights)
{
    int status = 0;
    for (; status == 0 && paths != NULL && *paths != NULL; paths++) {
        status = allow(ruleset, *paths, rights);
    }
    return status;
}

static int allow_needs(int ruleset, const struct sandbox_needs *needs, uint64_t known)
{
    static const char *const null_device[] = { "/dev/null", NULL };
    uint64_t read = READ | (needs->programs ? EXECUTE : 0);
    uint64_t write = read | WRITE | (needs->programs ? MAKE_SOCK | MAKE_FIFO : 0);
    int status = allow_all(ruleset, common, read);
    if (status == 0 && needs->programs) {
        status = allow_all(ruleset, for_programs, read);
    }
    if (status == 0) {
        status = allow_all(ruleset, needs->reads, read);
    }
    if (status == 0) {
        status = allow_all(ruleset, null_device, (READ_FILE | WRITE_FILE | TRUNCATE) & known);
    }
    if (status == 0 && needs->root != NULL) {
        status = allow(ruleset, needs->root, write & known);
    }
    return status;
}

int landlock_enter(const struct sandbox_needs *needs)
{
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, CREATE_RULESET_VERSION);
    if (version < 1) {
        return version < 0 ? -errno : -ENOSYS;
    }
    struct ruleset rules = {
        .files = known_files((int)version),
        .net = needs->network ? 0 : 3,
        .scopes = 3,
    };
    size_t size = version >= 6   ? sizeof rules
                  : version >= 4 ? offsetof(struct ruleset, scopes)
                                 : offsetof(struct ruleset, net);
    int ruleset = (int)syscall(SYS_landlock_create_ruleset, &rules, size, 0);
    if (ruleset < 0) {
        return -errno;
    }
    int status = allow_needs(ruleset, needs, rules.files);
    if (status == 0 && syscall(SYS_landlock_restrict_self, ruleset, 0) < 0) {
        status = -errno;
    }
    close(ruleset);
    return status < 0 ? status : (int)version;
}
