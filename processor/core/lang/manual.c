/* The page of `pqlstream explain --language`. */
#include "core/lang/lang.h"

static const char introduction[] =
    "A definition is a condition, built from these, the tightest first:\n"
    "\n"
    "  user.role, account.plan       attributes, brought by events of kind identify and group\n"
    "  7d  36h  90s  250ms           durations: ms, s, m, h, d (24 h), w (7 d)\n"
    "  12.5  'text'  true  null      constants; '' inside a text is one quote\n"
    "  score                         the sum of the definition's own list of items\n"
    "  $name                         a signal or a parameter of the configuration\n"
    "  * /   + -                     arithmetic\n"
    "  = != < <= > >=                comparisons\n"
    "  in (a, b)   between a and b   and 'not in', 'not between'\n"
    "  starts with, ends with, contains, matches   of texts; matches: * any run, ? one character\n"
    "  is null, is not null\n"
    "  not, and, or\n"
    "\n"
    "E is a selector: an event, any, or one_of(a, b); with .property; with 'where' and a condition over\n"
    "that event: its properties (bare names; user and event, its name, are properties of all), user.… and\n"
    "account.… as they are when it comes, hour(), weekday(). A name that is not one plain word stands in\n"
    "single quotes: count('File Uploaded' where size > 5, 7d). In a definition of users, functions count\n"
    "the user's events, in one of accounts all events of the account.\n"
    "\n";

static const struct {
    enum pql_window_kind kind;
    const char *written, *name, *help;
} windows[] = {
    {PQL_WINDOW_ROLLING, "7d", "7d", "the last 7 days"},
    {PQL_WINDOW_PREV, "prev 7d", "prev", "the 7 days before those"},
    {PQL_WINDOW_FIRST, "first 7d", "first",
     "7 days from the subject's start: the mapping's start_events, else its first event"},
    {PQL_WINDOW_EVER, "ever", "ever", "since the beginning"},
    {PQL_WINDOW_TODAY, "today", "today", "the calendar day"},
    {PQL_WINDOW_WEEK, "this week", "this …", "the calendar week; so also this month, this quarter"},
    {PQL_WINDOW_PERIOD, "trial", "a period", "one of the mapping's `periods`, by its name"},
};
enum { WINDOWS = sizeof windows / sizeof *windows };

static const char *lacking(bool is_available)
{
    return is_available ? "" : " (not available in this version)";
}

static void print_windows(const struct pql_function_row *row, FILE *out)
{
    if (!(row->windows & ~(1u << PQL_WINDOW_NONE))) return;
    const char *between = "windows: ";
    fprintf(out, "      ");
    for (size_t i = 0; i < WINDOWS; i++) {
        if (!(row->windows & 1u << windows[i].kind)) continue;
        fprintf(out, "%s%s", between, windows[i].name);
        between = ", ";
    }
    fprintf(out, "%s\n", row->windows & 1u << PQL_WINDOW_NONE ? "; without one: ever" : "");
}

void pql_lang_print(FILE *out)
{
    fputs(introduction, out);
    fputs("W is a window:\n\n", out);
    for (size_t i = 0; i < WINDOWS; i++)
        fprintf(out, "  %-12s%s%s\n", windows[i].written, windows[i].help,
                lacking(pql_windows_available & 1u << windows[i].kind));
    fputs("\nc is a condition about one user; D the name of a definition of the same subject, or of a\n"
          "user's account. In a user's definition account.f(…) is the account's value, which ends in a\n"
          "condition of its own before it meets the user's. Functions:\n\n",
          out);
    for (size_t i = 0; i < PQL_FN_TOTAL; i++) {
        const struct pql_function_row *row = &pql_functions[i];
        fprintf(out, "  %s\n      %s%s\n", row->usage, row->help, lacking(row->is_available));
        print_windows(row, out);
    }
}
