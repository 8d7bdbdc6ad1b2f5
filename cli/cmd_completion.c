/*
 * cmd_completion.c - ox completion: what a shell needs to complete ox, and the manual page.
 *
 * All are written from the rows. zsh runs the bash script through its own bridge. A verb of two
 * words is completed word by word: its first word is called the family here.
 *
 * Options may stand before the verb, so bash looks for the verb: the first word that is no
 * option, nor the value of one. bash takes ':' and '=' for words of their own, so a value such
 * as a URL is several words to it.
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

static char *global_words(void)
{
    GString *words = g_string_new(NULL);
    for (const struct opt *opt = global_opts; opt->name != NULL; opt++) {
        append_word(words, "--", opt->name);
    }
    return g_string_free(words, FALSE);
}

/* The words that may be the option's value, or "" when it can be anything. Heap. */
static char *value_words(const struct opt *opt)
{
    GString *words = g_string_new(NULL);
    for (int value = 0; opt->name_of != NULL && value < 63; value++) {
        if (opt->max >> value & 1) {
            append_word(words, "", opt->name_of(value));
        }
    }
    return g_string_free(words, FALSE);
}

/* The words that may be the verb's argument, or "" when it can be anything. Heap. */
static char *argument_words(const struct cmd *cmd)
{
    bool fixed = g_ascii_islower(cmd->usage[0]) && strchr(cmd->usage, ' ') == NULL;
    return g_strdelimit(g_strdup(fixed ? cmd->usage : ""), "|", ' ');
}

/* ---- bash, and zsh through bash ---------------------------------------------------------- */

/* The global options that have a value, as a pattern of `case`. Heap. */
static char *global_value_pattern(void)
{
    GString *pattern = g_string_new(NULL);
    for (const struct opt *opt = global_opts; opt->name != NULL; opt++) {
        if (opt->kind != OPT_FLAG) {
            g_string_append_printf(pattern, "%s--%s", pattern->len ? "|" : "", opt->name);
        }
    }
    return g_string_free(pattern, FALSE);
}

/* Leaves in `at` the place of the verb among the words, or of the word to be completed. */
static void print_finding_of_verb(void)
{
    g_autofree char *pattern = global_value_pattern();
    printf("  while [ $at -lt $COMP_CWORD ]; do\n"
           "    case ${COMP_WORDS[at]} in\n"
           "      %s)\n"
           "        at=$((at + 1))\n"
           "        [ \"${COMP_WORDS[at]}\" != = ] || at=$((at + 1))\n"
           "        while [ $at -lt $COMP_CWORD ]; do\n"
           "          case ${COMP_WORDS[at + 1]} in :|=) at=$((at + 2)) ;; *) break ;; esac\n"
           "        done ;;\n"
           "      -*) ;;\n"
           "      *) break ;;\n"
           "    esac\n"
           "    at=$((at + 1))\n"
           "  done\n",
        pattern);
}

static void print_families(void)
{
    g_autofree char *all = first_words();
    g_auto(GStrv) words = g_strsplit(all, " ", -1);
    for (char **word = words; *word != NULL; word++) {
        g_autofree char *seconds = second_words(*word);
        if (*seconds) {
            printf("    %s)\n"
                   "      [ $COMP_CWORD -eq $((at + 1)) ] && words='%s' plain=1\n"
                   "      verb=\"$verb ${COMP_WORDS[at + 1]}\" ;;\n",
                *word, seconds);
        }
    }
    printf("    help) words='%s' plain=1 ;;\n", all);
}

static void print_values(const struct cmd *cmd, const struct opt *opts)
{
    for (const struct opt *opt = opts; opt != NULL && opt->name != NULL; opt++) {
        g_autofree char *values = value_words(opt);
        if (*values) {
            printf("    '%s --%s') words='%s' plain=1 ;;\n", cmd->name, opt->name, values);
        }
    }
}

static void print_bash(void)
{
    g_autofree char *all = first_words();
    g_autofree char *globals = global_words();
    printf("_ox() {\n"
           "  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}\n"
           "  local at=1 verb= words= plain=\n");
    print_finding_of_verb();
    printf("  if [ $at -ge $COMP_CWORD ]; then\n"
           "    words='%s %s' plain=1\n"
           "    [ $at -eq $COMP_CWORD ] || plain= words=\n"
           "  else\n"
           "    verb=${COMP_WORDS[at]}\n"
           "  fi\n"
           "  case $verb in\n",
        all, globals);
    print_families();
    printf("  esac\n"
           "  case \"$verb $prev\" in\n");
    for (const struct cmd *const *cmd = cmds; *cmd != NULL; cmd++) {
        print_values(*cmd, (*cmd)->opts);
        print_values(*cmd, (*cmd)->more);
    }
    printf("  esac\n"
           "  [ -n \"$plain\" ] || case $verb in\n");
    for (const struct cmd *const *cmd = cmds; *cmd != NULL; cmd++) {
        g_autofree char *options = option_words(*cmd);
        g_autofree char *arguments = argument_words(*cmd);
        printf("    '%s') words='%s%s%s'%s ;;\n", (*cmd)->name, arguments,
            *arguments ? " " : "", options, *arguments ? " plain=1" : "");
    }
    printf("  esac\n"
           "  case $plain$cur in\n"
           "    1*|-*) COMPREPLY=($(compgen -W \"$words\" -- \"$cur\")) ;;\n"
           "    *) COMPREPLY=($(compgen -f -- \"$cur\")) ;;\n"
           "  esac\n"
           "}\n"
           "complete -o filenames -F _ox ox\n");
}

/* Read by a shell that starts, or as the file _ox of its fpath: then it is the function that
 * was called to complete, and goes on as what it has just defined. */
static void print_zsh(void)
{
    printf("#compdef ox\n"
           "autoload -U +X bashcompinit && bashcompinit\n");
    print_bash();
    printf("[ \"$funcstack[1]\" != _ox ] || _bash_complete -o filenames -F _ox\n");
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
        g_autofree char *values = value_words(opt);
        g_autofree char *offered = g_strdup_printf(" -x -a '%s'", values);
        printf("complete -c ox%s%s%s -l %s%s%s -d %s\n", *condition ? " -n '" : "", condition,
            *condition ? "'" : "", opt->name, letter != NULL ? letter : "",
            *values                              ? offered
            : opt->arg != NULL && !opt->optional ? " -r"
                                                 : "",
            help);
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
    g_autofree char *arguments = argument_words(cmd);
    if (*arguments) {
        printf("complete -c ox -f -n '%s' -a '%s'\n", seen, arguments);
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
    printf("complete -c ox -f -n '__fish_seen_subcommand_from help' -a '%s'\n", all);
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
        "page. `make install` puts all of them where the shells look for them.",
    .example = "  eval \"$(ox completion bash)\"\n"
               "  ox completion fish > ~/.config/fish/completions/ox.fish",
    .min_args = 1,
    .max_args = 1,
    .exec = exec,
};
