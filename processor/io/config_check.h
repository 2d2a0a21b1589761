/* config_check.h - what settings must be to each other, and what the types of the table do not say: names of
 * topics, addresses, settings that come together. */
#ifndef PQL_IO_CONFIG_CHECK_H
#define PQL_IO_CONFIG_CHECK_H

#include "io/config.h"
#include "io/config_tree.h"

/* After all of it is read. Messages stand at the setting, or at the file where a default is meant. */
void pql_config_check(const struct pql_config *config, const struct pql_setting *root, bool needs_brokers,
                      struct pql_diags *diags);

#endif
