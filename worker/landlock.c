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
#include <sys/stat.h>
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

#define BIND_TCP (UINT64_C(1) << 0) /* 4 */
#define CONNECT_TCP (UINT64_C(1) << 1)
#define ABSTRACT_SOCKETS (UINT64_C(1) << 0) /* 6 */
#define SIGNALS (UINT64_C(1) << 1)

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

/* And to find hosts by their names. A link is followed, so the folders that these files are
 * made in need no mention. */
static const char *const for_names[] = { "/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf",
    "/etc/host.conf", "/etc/gai.conf", "/etc/hostname", "/etc/services", "/etc/protocols",
    NULL };

/* And to know their certificates; private keys lie beside some of these. */
static const char *const for_certificates[] = { "/etc/ssl/certs", "/etc/ssl/cert.pem",
    "/etc/ssl/ca-bundle.pem", "/etc/ssl/openssl.cnf", "/etc/ssl/openssl.cnf.d",
    "/etc/pki/ca-trust", "/etc/pki/tls/certs", "/etc/pki/tls/cert.pem",
    "/etc/pki/tls/openssl.cnf", "/etc/pki/tls/openssl.d", "/etc/ca-certificates",
    "/etc/crypto-policies", "/usr/share/crypto-policies", "/usr/share/ca-certificates",
    "/usr/local/share/ca-certificates", "/var/lib/ca-certificates", NULL };

/* And what programs need that somebody else wrote. */
static const char *const for_programs[] = { "/usr", "/bin", "/sbin", "/opt", "/nix", "/proc",
    "/sys/fs/cgroup", "/dev/full", "/etc/alternatives", "/etc/group", "/etc/ld.so.conf",
    "/etc/ld.so.conf.d", "/etc/locale.alias", "/etc/mime.types", "/etc/passwd", "/etc/timezone",
    NULL };

/* A path that was allowed, and what was there then. The rule keeps that inode from being used
 * for another file. */
struct watched {
    const char *path; /* of `needs`, or a constant */
    dev_t device;
    ino_t inode; /* 0: there was neither file nor folder */
};
static GArray *watched;

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

static struct watched look_at(const char *path)
{
    struct stat st;
    bool there = stat(path, &st) == 0 && (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode));
    return (struct watched){ path, there ? st.st_dev : 0, there ? st.st_ino : 0 };
}

/* What is watched is looked at first, so that a file which is replaced in between is noticed.
 */
static int allow_all(int ruleset, const char *const *paths, uint64_t rights, bool watch)
{
    int status = 0;
    for (; status == 0 && paths != NULL && *paths != NULL; paths++) {
        if (watch) {
            const struct watched file = look_at(*paths);
            g_array_append_val(watched, file);
        }
        status = allow(ruleset, *paths, rights);
    }
    return status;
}

bool sandbox_is_outdated(void)
{
    for (guint i = 0; watched != NULL && i < watched->len; i++) {
        const struct watched *before = &g_array_index(watched, struct watched, i);
        const struct watched now = look_at(before->path);
        bool same = now.device == before->device && now.inode == before->inode;
        if (now.inode != 0 && !same) {
            return true;
        }
    }
    return false;
}

static int allow_needs(int ruleset, const struct sandbox_needs *needs, uint64_t known)
{
    static const char *const null_device[] = { "/dev/null", NULL };
    const bool programs = needs->programs, names = programs || needs->connects;
    const uint64_t read = READ | (programs ? EXECUTE : 0);
    const uint64_t write = read | WRITE | (programs ? MAKE_SOCK | MAKE_FIFO : 0);
    const struct {
        const char *const *paths;
        uint64_t rights;
        bool watch;
    } lists[] = {
        { common, read, false },
        { names ? for_names : NULL, read, true },
        { names ? for_certificates : NULL, read, true },
        { programs ? for_programs : NULL, read, true },
        { needs->reads, read, true },
        { needs->first_reads, read, false },
        { null_device, (READ_FILE | WRITE_FILE | TRUNCATE) & known, false },
    };
    int status = 0;
    g_clear_pointer(&watched, g_array_unref);
    watched = g_array_new(FALSE, FALSE, sizeof(struct watched));
    for (size_t i = 0; status == 0 && i < G_N_ELEMENTS(lists); i++) {
        status = allow_all(ruleset, lists[i].paths, lists[i].rights, lists[i].watch);
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
        .net = needs->network    ? 0
               : needs->connects ? BIND_TCP
                                 : BIND_TCP | CONNECT_TCP,
        .scopes = ABSTRACT_SOCKETS | SIGNALS,
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
