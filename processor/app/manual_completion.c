#include "app/cli.h"
#include "app/manual.h"
#include "io/config_options.h"

#include <ctype.h>
#include <string.h>

/* --- what a value or an argument may be --- */

static bool is_word_byte(char c)
{
    return islower((unsigned char)c) || isdigit((unsigned char)c) || (c && strchr("._-", c));
}

struct pql_slice pql_manual_next_word(const char **usage)
{
    const char *at = *usage + strspn(*usage, " |"), *end = at;
    while (is_word_byte(*end)) end++;
    *usage = end;
    return (struct pql_slice){at, *end && *end != ' ' && *end != '|' ? 0 : (size_t)(end - at)};
}

/* What a shell offers. */
enum kind { KIND_NOTHING, KIND_FILE, KIND_SETTING, KIND_WORDS };

static enum kind kind_of(const char *value)
{
    if (strcmp(value, "FILE") == 0) return KIND_FILE;
    if (strcmp(value, "PATH=VALUE") == 0) return KIND_SETTING;
    for (const char *at = strchr(value, '|'); at && *at; at += strcspn(at, "|")) /* "DURATION|end" */
        if (pql_manual_next_word(&at).len) return KIND_WORDS;
    return KIND_NOTHING;
}

static void put_words(const char *value, FILE *out)
{
    const char *space = "";
    while (*value) {
        struct pql_slice word = pql_manual_next_word(&value);
        if (word.len) fprintf(out, "%s%.*s", space, PQL_SLICE_ARG(word));
        if (word.len) space = " ";
        value += strcspn(value, "|");
    }
}

static bool takes_value(const struct pql_flag *flag)
{
    return flag->type == PQL_FLAG_TEXT || flag->type == PQL_FLAG_TEXTS;
}

/* Words that lead the usage: "list | verify | dump [--config FILE]". */
static bool has_words(const struct pql_command *command)
{
    const char *at = command->usage;
    return pql_manual_next_word(&at).len > 0;
}

static void put_leading_words(const struct pql_command *command, FILE *out)
{
    const char *at = command->usage;
    const char *space = "";
    for (struct pql_slice word; (word = pql_manual_next_word(&at)).len; space = " ")
        fprintf(out, "%s%.*s", space, PQL_SLICE_ARG(word));
}

static bool has_files(const struct pql_command *command)
{
    return strstr(command->usage, "[FILE") != NULL;
}

/* All settings of processes that have one path, as --set wants them: `log_level=debug` where there are words,
 * else `app=`. What definitions are made of is left out, and so are names that are the user's. Groups nest at
 * most four deep, by the table. */
static void put_settings(enum pql_option_group group, const char *before, FILE *out)
{
    for (size_t i = 0; i < pql_options_count; i++) {
        const struct pql_option *option = &pql_options[i];
        char path[200];
        if (option->group != group || option->flags & PQL_OPTION_IN_RULES) continue;
        snprintf(path, sizeof path, "%s%s%s", before, option->name,
                 !pql_option_is_inner(option)      ? "="
                 : option->type == PQL_OPTION_LIST ? "[0]."
                                                   : ".");
        if (pql_option_is_inner(option))
            put_settings(option->inner, path, out);
        else if (option->type == PQL_OPTION_BOOL)
            fprintf(out, " %strue %sfalse", path, path);
        else if (!option->words)
            fprintf(out, " %s", path);
        for (const char *const *word = option->words; word && *word; word++)
            fprintf(out, " %s%s", path, *word);
    }
}

/* In single quotes, with what `special` names behind a backslash. */
static void put_quoted(const char *text, const char *special, FILE *out)
{
    for (; *text; text++) {
        if (*text == '\'')
            fputs("'\\''", out);
        else
            fprintf(out, "%s%c", strchr(special, *text) ? "\\" : "", *text);
    }
}

/* --- bash --- */

static void bash_flags(void *context, const struct pql_flag *flags, size_t count, const char *about)
{
    (void)about;
    for (size_t i = 0; i < count; i++)
        fprintf(context, "%s%s ", flags[i].name, flags[i].type == PQL_FLAG_MAYBE ? "=" : "");
}

/* Where the flags of one command go. */
struct flags_out {
    const char *command;
    FILE *out;
};

static void bash_values(void *context, const struct pql_flag *flags, size_t count, const char *about)
{
    const struct flags_out *to = context;
    (void)about;
    for (size_t i = 0; i < count; i++) {
        if (!takes_value(&flags[i])) continue;
        fprintf(to->out, "    '%s %s'", to->command, flags[i].name);
        if (flags[i].letter) fprintf(to->out, " | '%s -%c'", to->command, flags[i].letter);
        enum kind kind = kind_of(flags[i].value);
        fputs(kind == KIND_FILE      ? ") echo FILE"
              : kind == KIND_SETTING ? ") echo \"$_pqlstream_settings\""
                                     : ") echo '",
              to->out);
        if (kind == KIND_WORDS) put_words(flags[i].value, to->out);
        fputs(kind == KIND_FILE || kind == KIND_SETTING ? " ;;\n" : "' ;;\n", to->out);
    }
}

void pql_completion_bash(FILE *out)
{
    fputs("# bash completion for pqlstream, printed by: pqlstream manual bash\n\n_pqlstream_settings='", out);
    put_settings(PQL_GROUP_ROOT, "", out);
    fputs("'\n\n# The flags of a command.\n_pqlstream_flags() {\n    case $1 in\n", out);
    for (size_t i = 0; i < pql_commands_count; i++) {
        fprintf(out, "    %s) echo '", pql_commands[i].name);
        pql_command_tell(&pql_commands[i], bash_flags, out);
        fputs("--help' ;;\n", out);
    }
    fputs("    esac\n}\n\n# What a command takes beside flags; FILE: files.\n_pqlstream_arguments() {\n    "
          "case $1 in\n",
          out);
    for (size_t i = 0; i < pql_commands_count; i++) {
        const struct pql_command *command = &pql_commands[i];
        if (!has_words(command) && !has_files(command)) continue;
        fprintf(out, "    %s) echo '", command->name);
        put_leading_words(command, out);
        fputs(has_files(command) ? "FILE' ;;\n" : "' ;;\n", out);
    }
    fputs("    esac\n}\n\n# What may follow \"COMMAND FLAG\"; fails where nothing belongs to the flag.\n"
          "_pqlstream_values() {\n    case $1 in\n",
          out);
    for (size_t i = 0; i < pql_commands_count; i++) {
        struct flags_out to = {pql_commands[i].name, out};
        pql_command_tell(&pql_commands[i], bash_values, &to);
    }
    fputs("    *) return 1 ;;\n    esac\n}\n\n", out);
    fputs("_pqlstream() {\n"
          "    local line=${COMP_LINE:0:COMP_POINT} words cur prev command found\n"
          "    read -ra words <<<\"$line\"\n"
          "    [[ $line == *[[:space:]] ]] && words+=('')\n"
          "    cur=${words[-1]} prev=${words[-2]-} command=${words[1]-}\n"
          "    if ((${#words[@]} <= 2)); then\n"
          "        found='",
          out);
    for (size_t i = 0; i < pql_commands_count; i++) fprintf(out, "%s ", pql_commands[i].name);
    fputs("--help --version'\n"
          "    elif [[ $cur == --*=* ]]; then\n"
          "        found=$(_pqlstream_values \"$command ${cur%%=*}\")\n"
          "        cur=${cur#*=}\n"
          "    elif found=$(_pqlstream_values \"$command $prev\"); then\n"
          "        :\n"
          "    elif [[ $cur == -* ]]; then\n"
          "        found=$(_pqlstream_flags \"$command\")\n"
          "    else\n"
          "        found=$(_pqlstream_arguments \"$command\")\n"
          "    fi\n"
          "    COMPREPLY=()\n"
          "    if [[ $found == FILE ]]; then\n"
          "        compopt -o filenames 2>/dev/null\n"
          "        mapfile -t COMPREPLY < <(compgen -f -- \"$cur\")\n"
          "        return\n"
          "    fi\n"
          "    mapfile -t COMPREPLY < <(compgen -W \"$found\" -- \"$cur\")\n"
          "    [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == *= ]] && compopt -o nospace 2>/dev/null\n"
          "    # bash replaces only what stands behind the last of the characters that break words.\n"
          "    local before=${cur%\"${cur##*[=:]}\"}\n"
          "    [[ $COMP_WORDBREAKS == *=* ]] && COMPREPLY=(\"${COMPREPLY[@]#\"$before\"}\")\n"
          "}\n"
          "complete -F _pqlstream pqlstream\n",
          out);
}

/* --- zsh --- */

static void zsh_value(const struct pql_flag *flag, FILE *out)
{
    if (!flag->value) return;
    fputs(flag->type == PQL_FLAG_MAYBE ? "::" : ":", out);
    put_quoted(flag->value, ":\\", out);
    fputc(':', out);
    enum kind kind = kind_of(flag->value);
    if (kind == KIND_FILE) fputs("_files", out);
    if (kind == KIND_SETTING) fputs("_pqlstream_settings", out);
    if (kind != KIND_WORDS) return;
    fputc('(', out);
    put_words(flag->value, out);
    fputc(')', out);
}

static void zsh_flags(void *context, const struct pql_flag *flags, size_t count, const char *about)
{
    (void)about;
    FILE *out = context;
    for (size_t i = 0; i < count; i++) {
        const struct pql_flag *flag = &flags[i];
        const char *equals = flag->type == PQL_FLAG_MAYBE ? "=-" : "";
        bool may_repeat = flag->type == PQL_FLAG_TEXTS;
        fputs("                ", out);
        if (flag->letter && may_repeat)
            fprintf(out, "'*'{-%c,%s}", flag->letter, flag->name);
        else if (flag->letter)
            fprintf(out, "'(-%c %s)'{-%c,%s}", flag->letter, flag->name, flag->letter, flag->name);
        else
            fprintf(out, "%s%s%s", may_repeat ? "'*'" : "", flag->name, equals);
        fputs("'[", out);
        put_quoted(flag->help, "[]\\", out);
        fputc(']', out);
        zsh_value(flag, out);
        fputs("' \\\n", out);
    }
}

static void zsh_command(const struct pql_command *command, FILE *out)
{
    fprintf(out, "        %s)\n            _arguments \\\n", command->name);
    pql_command_tell(command, zsh_flags, out);
    if (has_words(command)) {
        fputs("                '1:what:(", out);
        put_leading_words(command, out);
        fputs(")' \\\n", out);
    } else if (has_files(command)) {
        fputs("                '*:file:_files' \\\n", out);
    }
    fputs("                '(-)--help[say what it does]'\n            ;;\n", out);
}

void pql_completion_zsh(FILE *out)
{
    fputs("#compdef pqlstream\n# zsh completion for pqlstream, printed by: pqlstream manual zsh\n\n"
          "_pqlstream_settings() {\n    local all='",
          out);
    put_settings(PQL_GROUP_ROOT, "", out);
    fputs("'\n    compadd -S '' -- ${=all}\n}\n\n"
          "_pqlstream() {\n    local curcontext=$curcontext state line\n    local -a commands=(\n",
          out);
    for (size_t i = 0; i < pql_commands_count; i++) {
        fprintf(out, "        '%s:", pql_commands[i].name);
        put_quoted(pql_commands[i].summary, ":\\", out);
        fputs("'\n", out);
    }
    fputs("    )\n"
          "    _arguments -C '(-)--help[say what there is]' '(-)--version[say the version]' "
          "'1:command:->command' "
          "'*::argument:->argument'\n"
          "    case $state in\n"
          "    command) _describe command commands ;;\n"
          "    argument)\n"
          "        case $line[1] in\n",
          out);
    for (size_t i = 0; i < pql_commands_count; i++) zsh_command(&pql_commands[i], out);
    fputs("        esac\n"
          "        ;;\n"
          "    esac\n"
          "}\n\n"
          "if [[ $funcstack[1] == _pqlstream ]]; then\n"
          "    _pqlstream \"$@\"\n"
          "else\n"
          "    compdef _pqlstream pqlstream\n"
          "fi\n",
          out);
}

/* --- fish --- */

static void fish_flags(void *context, const struct pql_flag *flags, size_t count, const char *about)
{
    const struct flags_out *to = context;
    (void)about;
    for (size_t i = 0; i < count; i++) {
        const struct pql_flag *flag = &flags[i];
        fprintf(to->out, "complete -c pqlstream -n '__fish_seen_subcommand_from %s' -l %s", to->command,
                flag->name + 2);
        if (flag->letter) fprintf(to->out, " -s %c", flag->letter);
        if (takes_value(flag)) {
            enum kind kind = kind_of(flag->value);
            fputs(kind == KIND_FILE      ? " -r -F"
                  : kind == KIND_SETTING ? " -x -a \"$settings\""
                                         : " -x",
                  to->out);
            if (kind == KIND_WORDS) {
                fputs(" -a '", to->out);
                put_words(flag->value, to->out);
                fputc('\'', to->out);
            }
        }
        fputs(" -d '", to->out);
        put_quoted(flag->help, "\\", to->out);
        fputs("'\n", to->out);
    }
}

static void fish_command(const struct pql_command *command, FILE *out)
{
    fprintf(out, "complete -c pqlstream -n __fish_use_subcommand -a %s -d '", command->name);
    put_quoted(command->summary, "\\", out);
    fputs("'\n", out);
    struct flags_out to = {command->name, out};
    pql_command_tell(command, fish_flags, &to);
    if (has_words(command)) {
        fprintf(out, "complete -c pqlstream -n '__fish_seen_subcommand_from %s' -a '", command->name);
        put_leading_words(command, out);
        fputs("'\n", out);
    } else if (has_files(command)) {
        fprintf(out, "complete -c pqlstream -n '__fish_seen_subcommand_from %s' -F\n", command->name);
    }
}

void pql_completion_fish(FILE *out)
{
    fputs("# fish completion for pqlstream, printed by: pqlstream manual fish\n\nset -l settings '", out);
    put_settings(PQL_GROUP_ROOT, "", out);
    fputs("'\ncomplete -c pqlstream -f\n"
          "complete -c pqlstream -n __fish_use_subcommand -l help -d 'say what there is'\n"
          "complete -c pqlstream -n __fish_use_subcommand -l version -d 'say the version'\n",
          out);
    for (size_t i = 0; i < pql_commands_count; i++) fish_command(&pql_commands[i], out);
}
