/* What differs between two configurations beside what makes the program. */
#include "io/config_options.h"

#include <stdio.h>
#include <string.h>

/* Depth is bounded by the reader of the tree. */
static bool is_same(const struct pql_setting *a, const struct pql_setting *b)
{
    if (!a || !b) return !a && !b;
    if (a->kind != b->kind || !pql_slice_eq(a->value.text, b->value.text)) return false;
    const struct pql_setting *x = a->kids, *y = b->kids;
    for (; x && y; x = x->next, y = y->next)
        if (!is_same(x, y) || (x->name && strcmp(x->name, y->name) != 0)) return false;
    return !x && !y;
}

static void compare(enum pql_option_group group, const char *prefix, const struct pql_setting *a,
                    const struct pql_setting *b, void (*tell)(void *context, const char *name), void *context)
{
    char name[100];
    for (size_t i = 0; i < pql_options_count; i++) {
        const struct pql_option *option = &pql_options[i];
        bool is_applied = option->flags & (PQL_OPTION_AFFECTS_RESULTS | PQL_OPTION_IS_LIVE);
        if (option->group != group || is_applied ||
            is_same(pql_setting_find(a, option->name), pql_setting_find(b, option->name)))
            continue;
        snprintf(name, sizeof name, "%s%s", prefix, option->name);
        tell(context, name);
    }
}

void pql_config_compare(const struct pql_config *before, const struct pql_config *now,
                        void (*tell)(void *context, const char *name), void *context)
{
    compare(PQL_GROUP_ROOT, "", before->settings, now->settings, tell, context);
    const struct pql_setting *old = pql_setting_find(before->settings, "inputs"),
                             *new = pql_setting_find(now->settings, "inputs");
    const struct pql_setting *x = old ? old->kids : NULL, *y = new ? new->kids : NULL;
    char prefix[40];
    for (size_t i = 0; x && y; x = x->next, y = y->next, i++) {
        snprintf(prefix, sizeof prefix, "inputs[%zu].", i);
        compare(PQL_GROUP_INPUT, prefix, x, y, tell, context);
    }
    if (x || y) tell(context, "inputs");
}
