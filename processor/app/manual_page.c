#include "app/cli.h"
#include "app/manual.h"
#include "io/config_options.h"

#include <string.h>

/* groff_char(7): characters that a terminal is shown otherwise than they are written. */
static void put_escaped(struct pql_slice text, FILE *out)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (c == '\\')
            fputs("\\e", out);
        else if (c == '-')
            fputs("\\-", out);
        else if (c == '\'')
            fputs("\\(aq", out);
        else if (c == '`')
            fputs("\\(ga", out);
        else if (c == '^')
            fputs("\\(ha", out);
        else if (c == '~')
            fputs("\\(ti", out);
        else if (c == 0xe2 && i + 2 < text.len && !memcmp(text.ptr + i, "…", 3)) {
            fputs("\\&.\\|.\\|.", out);
            i += 2;
        } else
            fputc(c, out);
    }
}

/* Text to be filled: a sentence begins a line, and none of them is long. */
static void put_text(const char *text, FILE *out)
{
    enum { WIDTH = 60 };
    size_t column = 0;
    for (text += strspn(text, " \n"); *text; text += strspn(text, " \n")) {
        struct pql_slice word = {text, strcspn(text, " \n")};
        if (column && column + word.len > WIDTH) {
            fputc('\n', out);
            column = 0;
        }
        fputs(column ? " " : word.ptr[0] == '.' || word.ptr[0] == '\'' ? "\\&" : "", out);
        put_escaped(word, out);
        column += word.len + 1;
        text += word.len;
        if (word.ptr[word.len - 1] == '.' && *text) {
            fputc('\n', out);
            column = 0;
        }
    }
    if (column) fputc('\n', out);
}

static void put_bold(const char *text, FILE *out)
{
    fputs("\\fB", out);
    put_escaped(pql_slice_of(text), out);
    fputs("\\fR", out);
}

static void put_title(const char *name, const char *section, const char *about, const char *manual, FILE *out)
{
    fprintf(out, ".TH %s %s %s \"pqlstream %s\" \"%s\"\n.SH NAME\n", name, section, PQL_DATE, PQL_VERSION,
            manual);
    put_escaped(pql_slice_of(about), out);
    fputc('\n', out);
}

/* --- commands --- */

static void put_flag(const struct pql_flag *flag, FILE *out)
{
    bool may_lack = flag->type == PQL_FLAG_MAYBE;
    fputs(".TP\n", out);
    if (flag->letter) {
        put_bold((const char[]){'-', flag->letter, 0}, out);
        fputs(", ", out);
    }
    put_bold(flag->name, out);
    if (flag->value) {
        fputs(may_lack ? "[=\\fI" : " \\fI", out);
        put_escaped(pql_slice_of(flag->value), out);
        fputs(may_lack ? "\\fR]" : "\\fR", out);
    }
    fputc('\n', out);
    put_text(flag->help, out);
}

/* "list    what it does": a word, then more than a blank. */
static size_t item_word(const char *line)
{
    size_t len = strcspn(line, " \n");
    return strncmp(line + len, "  ", 2) == 0 ? len : 0;
}

/* Lines are one paragraph, but for items, and for a line that begins after a whole sentence. */
static void put_about(const char *about, FILE *out)
{
    char paragraph[2000];
    size_t len = 0;
    for (const char *line = about; *line;) {
        size_t line_len = strcspn(line, "\n"), word = item_word(line);
        if (word) {
            fputs(".TP\n\\fB", out);
            put_escaped((struct pql_slice){line, word}, out);
            fputs("\\fR\n", out);
        }
        int part = (int)(line_len - word);
        len += (size_t)snprintf(paragraph + len, sizeof paragraph - len, "%.*s ", part, line + word);
        bool is_whole = line_len && strchr(".:", line[line_len - 1]);
        line += line_len + (line[line_len] == '\n');
        if (!word && !is_whole && *line && !item_word(line)) continue;
        put_text(paragraph, out);
        if (!word && *line && !item_word(line)) fputs(".PP\n", out);
        len = 0;
    }
}

static void put_flags(void *context, const struct pql_flag *flags, size_t count, const char *about)
{
    FILE *out = context;
    if (!item_word(about)) fputs(".PP\n", out);
    put_about(about, out);
    for (size_t i = 0; i < count; i++) put_flag(&flags[i], out);
}

static void put_commands(FILE *out)
{
    fputs(".SH COMMANDS\n", out);
    for (size_t i = 0; i < pql_commands_count; i++) {
        const struct pql_command *command = &pql_commands[i];
        fprintf(out, ".SS %s\n", command->name);
        fprintf(out, "\\fBpqlstream %s\\fR\n", command->name);
        put_text(command->usage, out);
        pql_command_tell(command, put_flags, out);
    }
}

void pql_manual_commands(FILE *out)
{
    put_title("PQLSTREAM", "1", "pqlstream - product events on Kafka to qualified users and accounts",
              "User Commands", out);
    fputs(".SH SYNOPSIS\n\\fBpqlstream\\fR \\fICOMMAND\\fR [\\fIFLAGS\\fR] \\&.\\|.\\|.\n.br\n"
          "\\fBpqlstream\\fR [\\fICOMMAND\\fR] \\fB\\-\\-help\\fR\n.br\n"
          "\\fBpqlstream \\-\\-version\\fR\n.SH DESCRIPTION\n",
          out);
    put_text(
        "Reads product events from Kafka topics, keeps windowed state of every account and user, saves it "
        "in a topic, and writes a record, exactly once, whenever somebody crosses a bar that a definition "
        "sets or falls below it again. Definitions and everything else are said in a configuration, see "
        "pqlstream.conf(5).",
        out);
    put_commands(out);
    fputs(".SH EXIT STATUS\n", out);
#define PUT_EXIT(name, code, help)                                                                           \
    fprintf(out, ".TP\n\\fB%d\\fR\n", code);                                                                 \
    put_text(help, out);
    PQL_EXITS(PUT_EXIT)
    fputs(".SH ENVIRONMENT\n.TP\n\\fBPQLSTREAM_\\fINAME\\fR\n", out);
    put_text("Goes over the setting of that name, which is written in capitals, with __ between a group and "
             "what is "
             "in it, as in PQLSTREAM_KAFKA__BOOTSTRAP_SERVERS. --set goes over it.",
             out);
    fputs(".SH FILES\n.TP\n\\fBpqlstream.conf\\fR\n", out);
    put_text("The configuration where --config names none; in the working directory.", out);
    fputs(".TP\n\\fB/etc/pqlstream/pqlstream.conf\\fR\n", out);
    put_text("The configuration of the service of systemd.", out);
    fputs(".SH EXAMPLES\n.nf\n", out);
    put_escaped(PQL_SLICE_LITERAL("pqlstream check --config first.conf\n"
                                  "pqlstream replay --config first.conf --summary events.jsonl\n"
                                  "pqlstream topics --config first.conf --create\n"
                                  "pqlstream run --config first.conf\n"),
                out);
    fputs(".fi\n.SH SEE ALSO\n\\fBpqlstream.conf\\fR(5)\n", out);
}

/* --- settings --- */

static void put_setting(const struct pql_option *option, FILE *out)
{
    char about[300];
    pql_option_describe(option, about, sizeof about);
    fputs(".TP\n", out);
    put_bold(option->name, out);
    if (option->value) {
        fputs(" = ", out);
        put_escaped(pql_slice_of(option->value), out);
    }
    fputc('\n', out);
    put_text(option->help, out);
    if (!about[0]) return;
    fputs(".br\n", out);
    put_text(about, out);
}

static void put_group(enum pql_option_group group, FILE *out)
{
    const char *path = pql_option_group_path(group);
    size_t len = strlen(path);
    bool is_first = true;
    for (size_t i = 0; i < pql_options_count; i++) {
        if (pql_options[i].group != group) continue;
        if (is_first) {
            fputs(".SS \"", out);
            put_escaped(len ? (struct pql_slice){path, len - 1} : PQL_SLICE_LITERAL("Top level"), out);
            fputs("\"\n", out);
        }
        is_first = false;
        put_setting(&pql_options[i], out);
    }
}

void pql_manual_settings(FILE *out)
{
    put_title("PQLSTREAM.CONF", "5", "pqlstream.conf - configuration of pqlstream", "File Formats", out);
    fputs(".SH DESCRIPTION\n", out);
    put_text(
        "A text of settings in the syntax of libconfig: name = value; with texts in quotes, groups in { }, "
        "lists in ( ) or [ ], and comments behind # or //. A line @include \"FILE\" stands for what that "
        "file "
        "says. ${env:NAME} and ${file:/path} in a text are replaced by that variable or file. Variables of "
        "the "
        "environment and --set go over the file, see pqlstream(1).",
        out);
    fputs(".PP\n", out);
    put_text("A name that there is not, a value of the wrong type or out of range is an error with its "
             "place; pqlstream "
             "check says all of them at once and touches nothing. SIGHUP makes a running process read its "
             "configuration "
             "again. What changes results needs a higher revision.",
             out);
    fputs(".PP\n", out);
    put_text("Conditions have a language of their own: pqlstream explain --language prints it. A "
             "configuration with "
             "every setting and its default: pqlstream check --print-config-template.",
             out);
    fputs(".SH SETTINGS\n", out);
    put_text("Each with its default, if it has one; inputs[].topic is the topic of each of a list.", out);
    for (int group = 0; group < PQL_GROUP_COUNT; group++) put_group((enum pql_option_group)group, out);
    fputs(".SH EXAMPLES\n.nf\n", out);
    put_escaped(
        PQL_SLICE_LITERAL(
            "app = \"acme\";\n"
            "kafka = { bootstrap_servers = \"localhost:9092\"; };\n"
            "inputs = ( { topic = \"product-events\"; format = \"json\"; mapping = \"segment\"; } );\n"
            "definitions = (\n"
            "  { name = \"inviter\"; subject = \"user\";\n"
            "    qualify = \"count(invite_sent, 7d) >= 2\"; }\n"
            ");\n"),
        out);
    fputs(".fi\n.SH SEE ALSO\n\\fBpqlstream\\fR(1)\n", out);
}
