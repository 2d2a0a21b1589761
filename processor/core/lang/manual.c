/* The page of `pqlstream explain --language`. */
#include "core/lang/lang.h"

static const char introduction[] =
    "A definition is a condition, built from these, the tightest first:\n"
    "\n"
    "  user.role, account.plan       attributes\n"
    "  7d  36h  90s  250ms           durations: ms, s, m, h, d (24 h), w (7 d)\n"
    "  12.5  'text'  true  null      constants; '' inside a text is one quote\n"
    "  $name                         a signal or a parameter of the configuration\n"
    "  * /   + -                     arithmetic\n"
    "  = != < <= > >=                comparisons\n"
    "  in (a, b)   between a and b   and 'not in', 'not between'\n"
    "  starts with, ends with, contains, matches   of texts; matches: * any run, ? one character\n"
    "  is null, is not null\n"
    "  not, and, or\n"
    "\n"
    "E is a selector: an event, any, or one_of(a, b); with .property; with 'where' and a condition over the event's\n"
    "properties (bare names), user.…, account.…, user, event, hour(), weekday().\n"
    "\n"
    "W is a window:\n"
    "\n"
    "  7d                 the last 7 days\n"
    "  prev 7d            the 7 days before those\n"
    "  first 7d           the first 7 days of the subject\n"
    "  ever               since the beginning\n"
    "  today, this week, this month, this quarter\n"
    "  trial              a period that the mapping names\n"
    "\n"
    "c is a condition about one user, D the name of a definition. Functions:\n"
    "\n";

static void print_windows(const struct pql_function_row *row, FILE *out)
{
    static const struct {
        enum pql_window_kind kind;
        const char *name;
    } kinds[] = {{PQL_WINDOW_ROLLING, "7d"},     {PQL_WINDOW_PREV, "prev"},  {PQL_WINDOW_FIRST, "first"},
                 {PQL_WINDOW_PERIOD, "a period"}, {PQL_WINDOW_EVER, "ever"}, {PQL_WINDOW_TODAY, "today"},
                 {PQL_WINDOW_WEEK, "this …"}};
    if (!(row->windows & ~(1u << PQL_WINDOW_NONE))) return;
    const char *between = "windows: ";
    fprintf(out, "      ");
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (!(row->windows & 1u << kinds[i].kind)) continue;
        fprintf(out, "%s%s", between, kinds[i].name);
        between = ", ";
    }
    fprintf(out, "%s\n", row->windows & 1u << PQL_WINDOW_NONE ? "; without one: ever" : "");
}

void pql_lang_print(FILE *out)
{
    fputs(introduction, out);
    for (size_t i = 0; i < PQL_FN_TOTAL; i++) {
        const struct pql_function_row *row = &pql_functions[i];
        fprintf(out, "  %s\n      %s%s\n", row->usage, row->help,
                row->is_available ? "" : " (not available in this version)");
        print_windows(row, out);
    }
}
