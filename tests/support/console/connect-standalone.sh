#!/bin/sh
# As bin/connect-standalone.sh of Kafka's archive, with the jars that the tests have.
exec java -Xms64m -Xmx512m -cp "$PQL_TEST_CONNECT/*" org.apache.kafka.connect.cli.ConnectStandalone "$@"
