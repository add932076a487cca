#!/usr/bin/env bash
# Apache Kafka 4.3.1, one KRaft node: kafka.sh install|start|stop|status|wipe
# KAFKA_PORT (19092; the controller listens one above), KAFKA_HEAP (512m).
set -euo pipefail
engine=kafka
here=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)
. "$here/../lib.sh"
version=4.3.1
port=${KAFKA_PORT:-19092}
heap=${KAFKA_HEAP:-512m}
home=$engines/kafka-$version
run=$engines/run/kafka-$port
java=${JAVA_HOME:+$JAVA_HOME/bin/}java

install_() {
  [ -e "$home/.ok" ] && return 0
  "$repository/tools/deps/install-apt" engines
  say "fetching $version"
  rm -rf "$home"
  mkdir -p "$home"
  cp "$here/pom.xml" "$home/"
  (cd "$home" && jars "$home/libs")
  checked "$home/libs" "$here/sha256.txt"
  touch "$home/.ok"
}
tool() { "$java" -cp "$home/libs/*" "$@"; }
open() { (exec 3<>"/dev/tcp/$host/$port") && grep -q 'Kafka Server started' "$run/log/broker.log"; }

configure() {
  mkdir -p "$run/log"
  cat >"$run/server.properties" <<P
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@$host:$((port + 1))
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://$host:$port,CONTROLLER://$host:$((port + 1))
advertised.listeners=PLAINTEXT://$host:$port
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
log.dirs=$run/data
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
P
  cat >"$run/log4j2.properties" <<'P'
status = error
rootLogger.level = info
rootLogger.appenderRef.c.ref = C
appender.c.type = Console
appender.c.name = C
appender.c.layout.type = PatternLayout
appender.c.layout.pattern = %d %p %c{1} %m%n
P
  [ -e "$run/data/meta.properties" ] && return 0
  local id
  id=$(tool kafka.tools.StorageTool random-uuid 2>/dev/null | tail -1)
  tool kafka.tools.StorageTool format -t "$id" -c "$run/server.properties" >"$run/log/format.log" 2>&1
}
start() {
  alive broker && return 0
  install_
  configure
  spawn broker "$java" -Xms"$heap" -Xmx"$heap" -XX:+UseG1GC -Dlog4j2.configurationFile="$run/log4j2.properties" -cp "$home/libs/*" \
    kafka.Kafka "$run/server.properties"
  await broker 60 open
  say "$version is ready on $host:$port"
}

case ${1:-} in
  install) install_ ;;
  start) start ;;
  stop) end broker ;;
  status) alive broker && echo "running, process $(cat "$run/broker.pid")" || { echo stopped; exit 1; } ;;
  wipe) ! alive broker || die "stop it first"; rm -rf "$run" ;;
  *) echo "usage: kafka.sh install|start|stop|status|wipe" >&2; exit 2 ;;
esac
