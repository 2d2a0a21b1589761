#include "app/cli.h"
#include "app/secrecy.h"

int main(int argc, char **argv)
{
    return pql_cli(argc, pql_secrecy_begin(argc, argv));
}
