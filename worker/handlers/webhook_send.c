/*
 * webhook_send.c - one POST, by libcurl.
 *
 * All requests of a child share connections that were kept alive, TLS sessions and names that
 * were resolved. A handle of libcurl has one request only: in one that is used again, the
 * libcurl of Debian 12 takes a first header that begins with a space for more of the last
 * answer's last one, whose memory is free by then. A connection is judged when its socket is
 * made (open_socket()), so after the name was resolved and for the very address; one that is
 * kept has been judged then.
 *
 * Redirects are followed here and not by libcurl: each is a POST of its own that is checked
 * like the first. It goes from TLS to TLS only, to no odd port, and to another host without the
 * signature, the operator's headers and the client certificate.
 */
#include "webhook.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <netdb.h>
#include <ox.h>
#include <string.h>
#include <unistd.h>

#define KEEP_CONNECTIONS 8L
#define POLL_MS 1000 /* libcurl wakes earlier when something is to be done */

/* Where a request goes. */
struct place {
    char *scheme, *host, *port, *user; /* of libcurl; `user` may be NULL */
};

struct webhook_sender {
    CURLM *multi;  /* has the connections */
    CURLSH *share; /* has the TLS sessions */
    CURL *easy;    /* of the request under way */
    const struct webhook_options *options;
    const struct webhook_guard *guard;
    /* Of the request under way. */
    bool host_allowed, plain;
    bool tried;       /* an address that may be connected to */
    GString *refused; /* the first one that may not, and why */
    struct webhook_reply *reply;
    char error[CURL_ERROR_SIZE];
};

/* ---- where it goes ----------------------------------------------------------------------- */

static void place_done(struct place *place)
{
    curl_free(place->scheme);
    curl_free(place->host);
    curl_free(place->port);
    curl_free(place->user);
    *place = (struct place){ 0 };
}

static bool is_web(const char *scheme)
{
    return strcmp(scheme, "https") == 0 || strcmp(scheme, "http") == 0;
}

static CURLUcode take_parts(struct place *place, CURLU *parts)
{
    CURLUcode code = curl_url_get(parts, CURLUPART_HOST, &place->host, 0);
    if (code == CURLUE_OK) {
        code = curl_url_get(parts, CURLUPART_PORT, &place->port, CURLU_DEFAULT_PORT);
    }
    curl_url_get(parts, CURLUPART_USER, &place->user, 0); /* may not be there */
    return code;
}

/* False leaves the reason in `why`. */
static bool place_read(struct place *place, const char *url, GString *why)
{
    *place = (struct place){ 0 };
    if (strstr(url, "://") == NULL) {
        g_string_append(why, "give all of it: https://HOST/PATH");
        return false;
    }
    CURLU *parts = curl_url();
    CURLUcode code = curl_url_set(parts, CURLUPART_URL, url, CURLU_NON_SUPPORT_SCHEME);
    if (code == CURLUE_OK) {
        code = curl_url_get(parts, CURLUPART_SCHEME, &place->scheme, 0);
    }
    bool web = code != CURLUE_OK || is_web(place->scheme);
    if (code == CURLUE_OK && web) {
        code = take_parts(place, parts);
    }
    curl_url_cleanup(parts);
    if (!web) {
        g_string_append_printf(why, "%s is neither https nor http", place->scheme);
    } else if (code != CURLUE_OK) {
        g_string_append(why, curl_url_strerror(code));
    }
    return web && code == CURLUE_OK;
}

static bool is_plain(const struct place *place)
{
    return strcmp(place->scheme, "http") == 0;
}

static bool same_origin(const struct place *a, const struct place *b)
{
    return strcmp(a->scheme, b->scheme) == 0 && g_ascii_strcasecmp(a->host, b->host) == 0 &&
           strcmp(a->port, b->port) == 0;
}

/* Why nothing may be sent to an address, or NULL. */
static const char *why_not(const struct webhook_options *options,
    const struct webhook_guard *guard, const struct sockaddr *address, bool plain)
{
    if (webhook_guard_has_address(guard, address)) {
        return NULL;
    }
    const char *kind = webhook_address_kind(address);
    return kind != NULL              ? kind
           : plain && !options->http ? "public, and http is without TLS (see --http)"
                                     : NULL;
}

/* The address that a host's name is itself, if it is one; also in odd forms, such as 127.1. */
static struct addrinfo *literal_address(const char *host)
{
    const struct addrinfo hints = { .ai_flags = AI_NUMERICHOST, .ai_socktype = SOCK_STREAM };
    struct addrinfo *found = NULL;
    size_t length = strlen(host), bracket = *host == '[' && length > 2;
    g_autofree char *bare = g_strndup(host + bracket, length - 2 * bracket);
    return getaddrinfo(bare, NULL, &hints, &found) == 0 ? found : NULL;
}

/* What speaks against a place, as far as that is known before its address is; or NULL. */
static const char *known_refusal(const struct place *place,
    const struct webhook_options *options, const struct webhook_guard *guard)
{
    if (webhook_guard_has_host(guard, place->host)) {
        return NULL;
    }
    bool plain = is_plain(place) && !options->http;
    struct addrinfo *address = options->proxy == NULL ? literal_address(place->host) : NULL;
    if (address != NULL) {
        const char *refusal = why_not(options, guard, address->ai_addr, is_plain(place));
        freeaddrinfo(address);
        return refusal;
    }
    /* With --allow, the name may stand for an address that is listed. */
    return plain && (guard->nets->len == 0 || options->proxy != NULL)
               ? "given with http, so without TLS (see --http)"
               : NULL;
}

bool webhook_check_url(const char *url, const struct webhook_options *options,
    const struct webhook_guard *guard, char **problem)
{
    g_autoptr(GString) why = g_string_new(NULL);
    struct place place;
    if (place_read(&place, url, why)) {
        const char *refusal = known_refusal(&place, options, guard);
        if (refusal != NULL) {
            g_string_append_printf(why, "%s is %s; --allow lets it pass", place.host, refusal);
        }
    }
    place_done(&place);
    if (why->len > 0) {
        *problem = g_strdup_printf("the webhook's URL: %s", why->str);
    }
    return why->len == 0;
}

/* ---- what libcurl calls ------------------------------------------------------------------ */

static void note_refusal(
    struct webhook_sender *sender, const struct sockaddr *address, const char *refusal)
{
    char host[NI_MAXHOST] = "an address";
    socklen_t length = address->sa_family == AF_INET ? sizeof(struct sockaddr_in)
                                                     : sizeof(struct sockaddr_in6);
    getnameinfo(address, length, host, sizeof host, NULL, 0, NI_NUMERICHOST);
    if (sender->refused->len == 0) {
        g_string_printf(sender->refused, "%s is %s", host, refusal);
    }
}

static curl_socket_t open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct webhook_sender *sender = arg;
    bool free_way = sender->options->proxy != NULL || sender->host_allowed;
    const char *refusal =
        free_way ? NULL
                 : why_not(sender->options, sender->guard, &address->addr, sender->plain);
    if (purpose != CURLSOCKTYPE_IPCXN || refusal != NULL) {
        note_refusal(sender, &address->addr, refusal != NULL ? refusal : "not to be used so");
        return CURL_SOCKET_BAD;
    }
    sender->tried = true;
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

/* Ends the transfer when there is more than is wanted: of what was decoded, a piece of 16 KB at
 * a time, so a small body that stands for a huge one is no harm. */
static size_t take_body(char *bytes, size_t size, size_t count, void *arg)
{
    struct webhook_sender *sender = arg;
    struct webhook_reply *reply = sender->reply;
    size_t room = (size_t)sender->options->max_response - reply->body->len;
    reply->too_large = size * count > room;
    g_string_append_len(reply->body, bytes, (gssize)MIN(size * count, room));
    return MIN(size * count, room);
}

/* ---- one request ------------------------------------------------------------------------- */

static struct curl_slist *header_list(const struct webhook_message *message, bool own)
{
    guint count = own ? message->headers->len : message->public_headers;
    struct curl_slist *list = NULL;
    for (guint i = 0; i < count; i++) {
        list = curl_slist_append(list, message->headers->pdata[i]);
    }
    return curl_slist_append(list, "expect:"); /* no round trip before a large body */
}

/* What is the same for all. */
static void set_up(struct webhook_sender *sender)
{
    const struct webhook_options *options = sender->options;
    g_autofree char *agent = g_strdup_printf("ox-worker/%s", ox_version());
    CURL *easy = sender->easy;
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_POST, 1L);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, agent);
    /* These alone, as they need little memory. An answer may be encoded without being asked. */
    curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, "gzip, deflate");
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(easy, CURLOPT_SHARE, sender->share);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)options->connect_timeout_ms);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, sender->error);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, sender);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, sender);
    curl_easy_setopt(easy, CURLOPT_PROXY, options->proxy != NULL ? options->proxy : "");
    curl_easy_setopt(easy, CURLOPT_NOPROXY, "");
    curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, options->insecure ? 0L : 1L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, options->insecure ? 0L : 2L);
    if (options->ca != NULL) {
        curl_easy_setopt(easy, CURLOPT_CAINFO, options->ca);
        curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
    }
}

static void set_up_request(struct webhook_sender *sender, const struct webhook_message *message,
    const char *url, const struct place *place, bool own)
{
    const struct webhook_options *options = sender->options;
    CURL *easy = sender->easy;
    gint64 left_ms = (message->until_us - g_get_monotonic_time()) / 1000;
    sender->host_allowed = webhook_guard_has_host(sender->guard, place->host);
    sender->plain = is_plain(place);
    sender->tried = false;
    sender->error[0] = '\0';
    g_string_truncate(sender->refused, 0);
    g_string_truncate(sender->reply->body, 0);
    sender->reply->too_large = sender->reply->undecoded = false;
    curl_easy_setopt(easy, CURLOPT_URL, url);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, message->body);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)message->length);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)MAX(left_ms, 1));
    curl_easy_setopt(easy, CURLOPT_SSLCERT, own ? options->cert : NULL);
    curl_easy_setopt(easy, CURLOPT_SSLKEY, own ? options->key : NULL);
}

/* What went wrong, in the words of the system or of libcurl. */
static void explain(
    const struct webhook_sender *sender, CURLcode code, const char *host, GString *why)
{
    long system_error = 0;
    curl_easy_getinfo(sender->easy, CURLINFO_OS_ERRNO, &system_error);
    const char *text = *sender->error != '\0' ? sender->error : curl_easy_strerror(code);
    if (code == CURLE_COULDNT_CONNECT && system_error != 0) {
        text = g_strerror((int)system_error);
    }
    g_string_append_printf(why, "webhook: %s: %s", host, text);
}

static CURLcode transfer(CURLM *multi, CURL *easy)
{
    CURLcode result = CURLE_FAILED_INIT;
    int running = 1, left;
    CURLMcode code = curl_multi_add_handle(multi, easy);
    while (code == CURLM_OK && running > 0) {
        code = curl_multi_perform(multi, &running);
        if (code == CURLM_OK && running > 0) {
            code = curl_multi_poll(multi, NULL, 0, POLL_MS, NULL);
        }
    }
    const CURLMsg *message = curl_multi_info_read(multi, &left);
    if (message != NULL && message->msg == CURLMSG_DONE) {
        result = message->data.result;
    }
    curl_multi_remove_handle(multi, easy);
    return result;
}

static enum webhook_end perform(struct webhook_sender *sender,
    const struct webhook_message *message, const struct place *place, bool own, GString *why)
{
    struct webhook_reply *reply = sender->reply;
    curl_off_t retry_after_s = 0;
    struct curl_slist *headers = header_list(message, own);
    curl_easy_setopt(sender->easy, CURLOPT_HTTPHEADER, headers);
    CURLcode code = transfer(sender->multi, sender->easy);
    curl_easy_setopt(sender->easy, CURLOPT_HTTPHEADER, NULL);
    curl_slist_free_all(headers);
    /* What follows the end of the compressed bytes is a write error. */
    reply->undecoded =
        code == CURLE_BAD_CONTENT_ENCODING || (code == CURLE_WRITE_ERROR && !reply->too_large);
    if (code != CURLE_OK && !reply->too_large && !reply->undecoded) {
        if (!sender->tried && sender->refused->len > 0) {
            g_string_append_printf(
                why, "webhook: %s: %s (--allow)", place->host, sender->refused->str);
            return WEBHOOK_REFUSED;
        }
        explain(sender, code, place->host, why);
        return WEBHOOK_FAILED;
    }
    curl_easy_getinfo(sender->easy, CURLINFO_RESPONSE_CODE, &reply->status);
    curl_easy_getinfo(sender->easy, CURLINFO_RETRY_AFTER, &retry_after_s);
    reply->retry_after_ms = (int64_t)CLAMP(retry_after_s, 0, INT32_MAX) * 1000;
    return WEBHOOK_ANSWERED;
}

/* ---- redirects --------------------------------------------------------------------------- */

/* A POST stays one only with these. */
static bool keeps_method(long status)
{
    return status == 307 || status == 308;
}

/* Whether a redirect that was answered by `from` may lead to `to`. */
static bool may_follow(const struct webhook_sender *sender, const struct place *first,
    const struct place *from, const struct place *to, GString *why)
{
    const char *usual = is_plain(to) ? "80" : "443";
    if (to->user != NULL) {
        g_string_append(why, "it has a user's name in it");
    } else if (is_plain(to) && !is_plain(from)) {
        g_string_append(why, "it leaves TLS");
    } else if (strcmp(to->port, usual) != 0 && strcmp(to->port, first->port) != 0 &&
               !webhook_guard_has_host(sender->guard, to->host)) {
        g_string_append_printf(
            why, "port %s is neither %s nor that of the URL (--allow)", to->port, usual);
    }
    return why->len == 0;
}

/* Where the answer sends the request. Empty when it names no place. */
static char *redirect_target(const struct webhook_sender *sender)
{
    char *url = NULL;
    curl_easy_getinfo(sender->easy, CURLINFO_REDIRECT_URL, &url);
    return g_strdup(url != NULL ? url : "");
}

static bool follow(const struct webhook_sender *sender, const struct place *first,
    struct place *place, const char *url, GString *why)
{
    struct place next;
    g_autoptr(GString) refusal = g_string_new(NULL);
    if (place_read(&next, url, refusal) && may_follow(sender, first, place, &next, refusal)) {
        place_done(place);
        *place = next;
        return true;
    }
    g_string_append_printf(why, "webhook: HTTP %ld: redirect to %s refused: %s",
        sender->reply->status, next.host != NULL ? next.host : "another place", refusal->str);
    place_done(&next);
    return false;
}

static bool is_redirect(long status)
{
    return status >= 300 && status < 400;
}

/* Its beginning alone: the rest may hold secrets. */
static char *describe(const char *url)
{
    g_autoptr(GString) ignored = g_string_new(NULL);
    struct place place;
    char *text = place_read(&place, url, ignored)
                     ? g_strdup_printf("%s://%s", place.scheme, place.host)
                     : g_strdup("another place");
    place_done(&place);
    return text;
}

enum webhook_end webhook_send(struct webhook_sender *sender,
    const struct webhook_message *message, struct webhook_reply *reply, GString *why)
{
    struct place first, place = { 0 };
    g_autofree char *url = g_strdup(message->url);
    enum webhook_end end = WEBHOOK_REFUSED;
    *reply = (struct webhook_reply){ .body = g_string_new(NULL) };
    sender->reply = reply;
    bool go_on = place_read(&first, url, why) && place_read(&place, url, why);
    for (int64_t left = sender->options->redirects; go_on; left--) {
        bool own = same_origin(&first, &place);
        curl_easy_cleanup(sender->easy);
        sender->easy = curl_easy_init();
        set_up(sender);
        set_up_request(sender, message, url, &place, own);
        end = perform(sender, message, &place, own, why);
        go_on = false;
        if (end == WEBHOOK_ANSWERED && is_redirect(reply->status)) {
            g_free(url);
            url = redirect_target(sender);
            if (left > 0 && keeps_method(reply->status) && *url != '\0') {
                go_on = follow(sender, &first, &place, url, why);
                end = WEBHOOK_REFUSED;
            } else if (*url != '\0') { /* a 304 has no place, others may have none */
                reply->redirect = describe(url);
            }
        }
    }
    curl_easy_cleanup(sender->easy);
    sender->easy = NULL;
    place_done(&first);
    place_done(&place);
    sender->reply = NULL;
    return end;
}

void webhook_reply_done(struct webhook_reply *reply)
{
    g_string_free(reply->body, TRUE);
    g_free(reply->redirect);
    *reply = (struct webhook_reply){ 0 };
}

/* ---- its life ---------------------------------------------------------------------------- */

struct webhook_sender *webhook_sender_new(
    const struct webhook_options *options, const struct webhook_guard *guard, char **problem)
{
    struct webhook_sender *sender = g_new0(struct webhook_sender, 1);
    sender->options = options;
    sender->guard = guard;
    sender->refused = g_string_new(NULL);
    if (curl_global_init(CURL_GLOBAL_ALL) == CURLE_OK) {
        sender->multi = curl_multi_init();
        sender->share = curl_share_init();
    }
    if (sender->multi == NULL || sender->share == NULL) {
        *problem = g_strdup("libcurl does not start");
        webhook_sender_free(sender);
        return NULL;
    }
    curl_multi_setopt(sender->multi, CURLMOPT_MAXCONNECTS, KEEP_CONNECTIONS);
    curl_share_setopt(sender->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION);
    return sender;
}

void webhook_sender_free(struct webhook_sender *sender)
{
    if (sender == NULL) {
        return;
    }
    curl_multi_cleanup(sender->multi); /* each takes NULL */
    curl_share_cleanup(sender->share);
    g_string_free(sender->refused, TRUE);
    g_free(sender);
}
