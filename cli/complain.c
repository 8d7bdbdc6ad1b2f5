/*
 * complain.c - error messages on stderr, and the exit status for each.
 */
#include "cmd.h"
#include <stdarg.h>
#include <stdio.h>

G_GNUC_PRINTF(3, 0)
static void complain_va(
    const struct run *run, const char *hint, const char *format, va_list args)
{
    g_autofree char *text = g_strdup_vprintf(format, args);
    g_autofree char *cleaned = text_clean(text);
    fflush(stdout);
    fprintf(stderr, "ox%s%s: %s%s\n", run->cmd != NULL ? " " : "",
        run->cmd != NULL ? run->cmd->name : "", cleaned, hint);
}

void complain(const struct run *run, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    complain_va(run, "", format, args);
    va_end(args);
}

int complain_usage(const struct run *run, const char *format, ...)
{
    g_autofree char *hint = g_strdup_printf(" (ox%s%s --help)", run->cmd != NULL ? " " : "",
        run->cmd != NULL ? run->cmd->name : "");
    va_list args;
    va_start(args, format);
    complain_va(run, hint, format, args);
    va_end(args);
    return STATUS_USAGE;
}

int status_of(int code)
{
    switch (code) {
    case OX_OK:
        return STATUS_DONE;
    case OX_EINVAL:
        return STATUS_USAGE;
    case OX_ENOTFOUND:
        return STATUS_NOT_FOUND;
    default:
        return code < 0 ? STATUS_FAILED : STATUS_DONE;
    }
}

int complain_error(const struct run *run, const ox_error *err)
{
    complain(run, "%s", err->text[0] ? err->text : ox_strerror(err->code));
    return status_of(err->code);
}
