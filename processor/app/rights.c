#include "app/rights.h"

const char *const pql_rights[PQL_USE_COUNT] = {
    [PQL_USE_INPUT] = "--operation DescribeConfigs --operation Read",
    [PQL_USE_OUTPUT] = "--operation DescribeConfigs --operation Write",
    [PQL_USE_CHECKPOINT] =
        "--operation DescribeConfigs --operation Delete --operation Write --operation Read",
};
