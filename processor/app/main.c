#include "app/cli.h"

int main(int argc, char **argv)
{
    return pql_cli(argc, argv);
}
