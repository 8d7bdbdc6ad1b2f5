/*
 * webhook_guard.c - which addresses a webhook may be sent to.
 *
 * A name that an operator wrote down, or one that a redirect leads to, may stand for any
 * address, and for another one tomorrow. So it is the address that is judged, and the one that
 * a socket is about to be connected to. What is not on the public internet is refused unless
 * --allow lists it: else whoever owns a name could have a worker talk to the machine that it
 * runs on, to its neighbours, and to the metadata service of its cloud.
 *
 * All addresses are seen as IPv6, those of IPv4 as ::ffff:a.b.c.d, which is also what they are
 * when a resolver gives them in that form. Those that carry an IPv4 address for a gateway
 * (NAT64, 6to4) are judged by that.
 */
#include "webhook.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

struct net {
    struct in6_addr address;
    int bits; /* that count, from the first */
};

#define V4_BITS 96 /* before an IPv4 address */

static const struct {
    const char *net, *kind;
} special[] = {
    { "0.0.0.0/8", "this machine" },
    { "10.0.0.0/8", "private" },
    { "100.64.0.0/10", "shared by a provider's customers" },
    { "127.0.0.0/8", "loopback" },
    { "169.254.0.0/16", "link-local" },
    { "172.16.0.0/12", "private" },
    { "192.0.0.0/24", "reserved" },
    { "192.0.2.0/24", "for documentation" },
    { "192.88.99.0/24", "reserved" },
    { "192.168.0.0/16", "private" },
    { "198.18.0.0/15", "for benchmarks" },
    { "198.51.100.0/24", "for documentation" },
    { "203.0.113.0/24", "for documentation" },
    { "224.0.0.0/4", "multicast" },
    { "240.0.0.0/4", "reserved" },
    { "::/128", "this machine" },
    { "::1/128", "loopback" },
    { "64:ff9b:1::/48", "private" },
    { "2001::/23", "reserved" }, /* Teredo among them */
    { "2001:db8::/32", "for documentation" },
    { "3fff::/20", "for documentation" },
    { "fc00::/7", "unique-local" },
    { "fe80::/10", "link-local" },
    { "fec0::/10", "site-local" },
    { "ff00::/8", "multicast" },
};

static struct in6_addr mapped(const void *v4)
{
    struct in6_addr out = { .s6_addr = { [10] = 0xff, [11] = 0xff } };
    memcpy(out.s6_addr + 12, v4, 4);
    return out;
}

/* ADDRESS or ADDRESS/BITS; an IPv6 address may stand in brackets. */
static bool read_net(const char *text, struct net *out)
{
    const char *slash = strchr(text, '/');
    g_autofree char *address =
        slash != NULL ? g_strndup(text, (gsize)(slash - text)) : g_strdup(text);
    size_t length = strlen(address);
    struct in_addr v4;
    guint64 bits;
    if (length > 2 && address[0] == '[' && address[length - 1] == ']') {
        address[length - 1] = '\0';
        memmove(address, address + 1, length - 1);
    }
    bool is_v4 = inet_pton(AF_INET, address, &v4) == 1;
    if (is_v4) {
        out->address = mapped(&v4);
    } else if (inet_pton(AF_INET6, address, &out->address) != 1) {
        return false;
    }
    int most = is_v4 ? 32 : 128;
    out->bits = most;
    if (slash != NULL) {
        if (!g_ascii_string_to_unsigned(slash + 1, 10, 0, (guint64)most, &bits, NULL)) {
            return false;
        }
        out->bits = (int)bits;
    }
    out->bits += is_v4 ? V4_BITS : 0;
    return true;
}

static bool is_in(const struct in6_addr *address, const struct net *net)
{
    int bytes = net->bits / 8, rest = net->bits % 8;
    if (memcmp(address->s6_addr, net->address.s6_addr, (size_t)bytes) != 0) {
        return false;
    }
    return rest == 0 ||
           ((address->s6_addr[bytes] ^ net->address.s6_addr[bytes]) >> (8 - rest)) == 0;
}

static bool is_in_text(const struct in6_addr *address, const char *text)
{
    struct net net;
    return read_net(text, &net) && is_in(address, &net);
}

/* False for what is no address of the internet at all. */
static bool take_address(const struct sockaddr *address, struct in6_addr *out)
{
    if (address->sa_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, address, sizeof v4);
        *out = mapped(&v4.sin_addr);
        return true;
    }
    if (address->sa_family == AF_INET6) {
        struct sockaddr_in6 v6;
        memcpy(&v6, address, sizeof v6);
        *out = v6.sin6_addr;
        return true;
    }
    return false;
}

const char *webhook_address_kind(const struct sockaddr *address)
{
    struct in6_addr one;
    if (!take_address(address, &one)) {
        return "not of the internet";
    }
    if (is_in_text(&one, "64:ff9b::/96")) {
        one = mapped(one.s6_addr + 12);
    } else if (is_in_text(&one, "2002::/16")) {
        one = mapped(one.s6_addr + 2);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(special); i++) {
        if (is_in_text(&one, special[i].net)) {
            return special[i].kind;
        }
    }
    bool global = is_in_text(&one, "::ffff:0:0/96") || is_in_text(&one, "2000::/3");
    return global ? NULL : "reserved";
}

/* ---- what is allowed --------------------------------------------------------------------- */

static bool is_host_name(const char *text)
{
    static const char letters[] = G_CSET_a_2_z G_CSET_A_2_Z G_CSET_DIGITS "-._";
    return *text != '\0' && text[strspn(text, letters)] == '\0' &&
           strspn(text, G_CSET_DIGITS ".") < strlen(text);
}

bool webhook_guard_read(struct webhook_guard *guard, const char *list, char **problem)
{
    g_auto(GStrv) words = g_strsplit(list != NULL ? list : "", ",", -1);
    *guard = (struct webhook_guard){
        .nets = g_array_new(FALSE, FALSE, sizeof(struct net)),
        .hosts = g_ptr_array_new_with_free_func(g_free),
    };
    for (char **word = words; *word != NULL; word++) {
        struct net net;
        g_strstrip(*word);
        if (read_net(*word, &net)) {
            g_array_append_val(guard->nets, net);
        } else if (is_host_name(*word)) {
            g_ptr_array_add(guard->hosts, g_strdup(*word));
        } else {
            *problem = g_strdup_printf("--allow: \"%s\" is neither an address (10.0.0.7, ::1), "
                                       "nor a network (10.0.0.0/8), nor a host's name",
                *word);
            return false;
        }
    }
    return true;
}

void webhook_guard_done(struct webhook_guard *guard)
{
    g_array_unref(guard->nets);
    g_ptr_array_unref(guard->hosts);
    *guard = (struct webhook_guard){ 0 };
}

bool webhook_guard_has_host(const struct webhook_guard *guard, const char *host)
{
    for (guint i = 0; i < guard->hosts->len; i++) {
        if (g_ascii_strcasecmp(guard->hosts->pdata[i], host) == 0) {
            return true;
        }
    }
    return false;
}

bool webhook_guard_has_address(
    const struct webhook_guard *guard, const struct sockaddr *address)
{
    struct in6_addr one;
    if (!take_address(address, &one)) {
        return false;
    }
    for (guint i = 0; i < guard->nets->len; i++) {
        if (is_in(&one, &g_array_index(guard->nets, struct net, i))) {
            return true;
        }
    }
    return false;
}
