/*
 * cmd_completion.c - ox completion: what a shell needs to complete ox, and the manual page.
 *
 * All are written from the rows. zsh runs the bash script through its own bridge. A verb of two
 * words is completed word by word: its first word is called the family here.
 */
#include "help.h"
#include "man.h"
#include <stdio.h>
#include <string.h>

/* ---- words ------------------------------------------------------------------------------- */

static void append_word(GString *words, const char *beginning, const char *word)
{
    g_string_append_printf(words, "%s%s%s", words->len ? " " : "", beginning, word);
}

/* First words of all verbs, each once, in their order. Heap. */
static char *first_words(void)
{
    GString *words = g_string_new(NULL);
    g_autofree char *last = g_strdup("");
    for (const struct cmd *const *cmd = cmds; *cmd != NULL; cmd++) {
        g_auto(GStrv) parts = g_strsplit((*cmd)->name, " ", 2);
        if (!strcmp(parts[0], last)) {
            continue;
        }
        append_word(words, "", parts[0]);
        g_free(last);
        last = g_strdup(parts[0]);
    }
    return g_string_free(words, FALSE);
}

/* Second words of a family, or "" when it is no family. Heap. */
static char *second_words(const char *family)
{
    GString *words = g_string_new(NULL);
    g_autofree char *beginning = g_strconcat(family, " ", NULL);
    for (const struct cmd *const *cmd = cmds; *cmd != NULL; cmd++) {
        if (g_str_has_prefix((*cmd)->name, beginning)) {
            append_word(words, "", (*cmd)->name + strlen(beginning));
        }
    }
    return g_string_free(words, FALSE);
}

static char *option_words(const struct cmd *cmd)
{
    GString *words = g_string_new(NULL);
    const struct opt *const tables[] = { cmd->opts, cmd->more, global_opts };
    for (size_t i = 0; i < G_N_ELEMENTS(tables); i++) {
        for (const struct opt *opt = tables[i]; opt != NULL && opt->name != NULL; opt++) {
            append_word(words, "--", opt->name);
        }
    }
    return g_string_free(words, FALSE);
}

static char *state_words(void)
{
    GString *words = g_string_new(NULL);
    for (int state = 0; state < OX_UNKNOWN; state++) {
        append_word(words, "", ox_state_name(state));
    }
    return g_string_free(words, FALSE);
}

/* ---- bash, and zsh through bash ---------------------------------------------------------- */

static void print_families(void)
{
    g_autofree char *all = first_words();
    g_auto(GStrv) words = g_strsplit(all, " ", -1);
    for (char **word = words; *word != NULL; word++) {
        g_autofree char *seconds = second_words(*word);
        if (*seconds) {
            printf("    %s)\n"
                   "      [ \"$COMP_CWORD\" -eq 2 ] && words='%s' plain=1\n"
                   "      verb=\"$verb ${COMP_WORDS[2]}\" ;;\n",
                *word, seconds);
        }
    }
}

static void print_bash(void)
{
    g_autofree char *all = first_words();
    g_autofree char *states = state_words();
    printf("_ox() {\n"
           "  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}\n"
           "  local verb=${COMP_WORDS[1]} words= plain=\n"
           "  [ \"$COMP_CWORD\" -eq 1 ] && words='%s --help --version' plain=1\n"
           "  [ \"$prev\" = --state ] && words='%s' plain=1\n"
           "  case $verb in\n",
        all, states);
    print_families();
    printf("  esac\n"
           "  [ -n \"$plain\" ] || case $verb in\n");
    for (const struct cmd *const *cmd = cmds; *cmd != NULL; cmd++) {
        g_autofree char *options = option_words(*cmd);
        printf("    '%s') words='%s' ;;\n", (*cmd)->name, options);
    }
    printf("  esac\n"
           "  case $plain$cur in\n"
           "    1*|-*) COMPREPLY=($(compgen -W \"$words\" -- \"$cur\")) ;;\n"
           "    *) COMPREPLY=($(compgen -f -- \"$cur\")) ;;\n"
           "  esac\n"
           "}\n"
           "complete -o filenames -F _ox ox\n");
}

static void print_zsh(void)
{
    printf("autoload -U +X bashcompinit && bashcompinit\n");
    print_bash();
}

/* ---- fish -------------------------------------------------------------------------------- */

/* Text within single quotes of fish. Heap. */
static char *fish_quoted(const char *text)
{
    GString *quoted = g_string_new("'");
    for (const char *p = text; *p; p++) {
        if (*p == '\'' || *p == '\\') {
            g_string_append_c(quoted, '\\');
        }
        g_string_append_c(quoted, *p);
    }
    g_string_append_c(quoted, '\'');
    return g_string_free(quoted, FALSE);
}

static void print_fish_options(const char *condition, const struct opt *opts)
{
    for (const struct opt *opt = opts; opt != NULL && opt->name != NULL; opt++) {
        g_autofree char *help = fish_quoted(opt->help);
        g_autofree char *letter = opt->letter ? g_strdup_printf(" -s %c", opt->letter) : NULL;
        printf("complete -c ox%s%s%s -l %s%s%s -d %s\n", *condition ? " -n '" : "", condition,
            *condition ? "'" : "", opt->name, letter != NULL ? letter : "",
            opt->arg != NULL && !opt->optional ? " -r" : "", help);
    }
}

static void print_fish_verb(const struct cmd *cmd)
{
    g_auto(GStrv) words = g_strsplit(cmd->name, " ", 2);
    g_autofree char *summary = fish_quoted(cmd->summary);
    g_autofree char *seen = g_strdup_printf("__fish_seen_subcommand_from %s%s%s", words[0],
        words[1] != NULL ? "; and __fish_seen_subcommand_from " : "",
        words[1] != NULL ? words[1] : "");
    g_autofree char *seconds = second_words(words[0]);
    if (words[1] != NULL) {
        printf("complete -c ox -f -n '__fish_seen_subcommand_from %s; and not "
               "__fish_seen_subcommand_from %s' -a %s -d %s\n",
            words[0], seconds, words[1], summary);
    } else {
        printf("complete -c ox -f -n __fish_use_subcommand -a %s -d %s\n", words[0], summary);
    }
    print_fish_options(seen, cmd->opts);
    print_fish_options(seen, cmd->more);
}

static void print_fish(void)
{
    g_autofree char *all = first_words();
    g_auto(GStrv) words = g_strsplit(all, " ", -1);
    for (char **word = words; *word != NULL; word++) {
        g_autofree char *seconds = second_words(*word);
        if (*seconds) {
            printf("complete -c ox -f -n __fish_use_subcommand -a %s\n", *word);
        }
    }
    for (const struct cmd *const *cmd = cmds; *cmd != NULL; cmd++) {
        print_fish_verb(*cmd);
    }
    print_fish_options("", global_opts);
}

/* ---- the verb ---------------------------------------------------------------------------- */

static void print_man(void)
{
    g_autofree char *page = man_page();
    fputs(page, stdout);
}

static const struct {
    const char *name;
    void (*print)(void);
} kinds[] = {
    { "bash", print_bash },
    { "zsh", print_zsh },
    { "fish", print_fish },
    { "man", print_man },
};

static int exec(struct run *run)
{
    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
        if (!strcmp(run->args[0], kinds[i].name)) {
            kinds[i].print();
            return STATUS_DONE;
        }
    }
    return complain_usage(
        run, "unknown shell \"%s\"; expected bash, zsh, fish or man", run->args[0]);
}

const struct cmd cmd_completion = {
    .name = "completion",
    .summary = "print a shell's completion script",
    .usage = "bash|zsh|fish|man",
    .help =
        "Prints what a shell needs to complete verbs and options of ox; man prints the manual "
        "page.",
    .example = "  eval \"$(ox completion bash)\"\n"
               "  ox completion fish > ~/.config/fish/completions/ox.fish",
    .min_args = 1,
    .max_args = 1,
    .exec = exec,
};
