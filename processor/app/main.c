#include "app/cli.h"
#include "app/secrecy.h"

#include <stdlib.h>

int main(int argc, char **argv)
{
    char **arguments = pql_secrecy_begin(argc, argv);
    int exit_code = pql_cli(argc, arguments);
    free(arguments);
    return exit_code;
}
