/*
 * sign.c - a handler of ox-worker in C: signs a job's data with HMAC-SHA256.
 *
 *     SIGN_KEY=... ox-worker --handler-program ./ox-handler documents=sign
 *
 * The key is a secret. It comes in the environment, or in the file that --key-file names.
 */
#include <string.h>

#include "handler.h"
#include "sandbox.h"

struct options {
    const char *key_file;
};

static char *key;

static const struct opt rows[] = {
    { .name = "key-file",
        .kind = OPT_TEXT,
        .offset = offsetof(struct options, key_file),
        .arg = "FILE",
        .help = "sign with the key in that file; else with SIGN_KEY" },
    { 0 },
};

/* Without --key-file, SIGN_KEY is read; then no other handler's children get it. */
static const struct handler_secret secrets[] = {
    { .variable = "SIGN_KEY", .option = "key-file" },
    { 0 },
};

static bool init(const struct handler_config *config, bool check_only, char **problem)
{
    const struct options *options = config->options;
    (void)check_only;
    if (options->key_file == NULL) {
        key = g_strdup(g_getenv("SIGN_KEY"));
        g_unsetenv("SIGN_KEY");
    } else if (!g_file_get_contents(options->key_file, &key, NULL, NULL)) {
        *problem = g_strdup_printf("--key-file: cannot read %s", options->key_file);
        return false;
    }
    if (key == NULL || *g_strstrip(key) == '\0') {
        *problem = g_strdup("sign: no key: set SIGN_KEY, or name a file by --key-file");
        return false;
    }
    return true;
}

static enum handler_result run(const struct handler_job *job,
    const struct handler_config *config, const struct handler_io *io, GString *out)
{
    g_autofree char *digest = g_compute_hmac_for_data(G_CHECKSUM_SHA256, (const guchar *)key,
        strlen(key), (const guchar *)job->data, job->data_len);
    (void)config;
    io->log(io->arg, "signed");
    g_string_append_printf(out, "\"%s\"", digest);
    return HANDLER_DONE;
}

static void needs(const struct handler_config *config, struct sandbox_needs *out)
{
    const struct options *options = config->options;
    static const char *reads[2];
    reads[0] = options->key_file;
    *out = (struct sandbox_needs){ .confined = true, .reads = reads };
}

const struct handler sign_handler = {
    .name = "sign",
    .summary = "signs the job's data",
    .opts = rows,
    .options_size = sizeof(struct options),
    .secrets = secrets,
    .needs = needs,
    .init = init,
    .run = run,
};
