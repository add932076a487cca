#!/usr/bin/env bash
# Apache Kafka 4.3.1, one KRaft node: kafka.sh install|start|stop|kill|pause|resume|status|wipe
# KAFKA_PORT (19092; the controller listens one above), KAFKA_BIND (the address to listen on and to tell clients), KAFKA_HEAP (512m),
# KAFKA_MESSAGE_MAX (bytes of a batch that the broker takes), KAFKA_SETTINGS (lines for server.properties).
# KAFKA_SECURE=1 adds, with certificates made here:
#   port + 2  SASL_SSL, PLAIN and SCRAM, users `alice` and `mallory` (password: name-secret); alice may everything, mallory what ACLs say
#   port + 3  SASL_PLAINTEXT, the same users
#   port + 4  SSL with a certificate that has expired
# The authority is tls/ca.pem in the folder that `kafka.sh where` prints. Whoever comes in clear, from this machine, may everything.
set -euo pipefail
engine=kafka
here=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)
. "$here/../lib.sh"
version=4.3.1
port=${KAFKA_PORT:-19092}
host=${KAFKA_BIND:-$host}
secure=${KAFKA_SECURE:-}
heap=${KAFKA_HEAP:-512m}
home=$engines/kafka-$version
run=$runs/kafka-$port
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

# certificate NAME DAYS: a key and a certificate of our authority for $host, as Kafka reads them from one file
certificate() {
  local name=$1 days=$2
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "/CN=$name" -keyout "$run/tls/$name.key" -out "$run/tls/$name.csr" 2>/dev/null
  printf 'subjectAltName=IP:%s,DNS:localhost\n' "$host" >"$run/tls/$name.ext"
  openssl x509 -req -in "$run/tls/$name.csr" -CA "$run/tls/ca.pem" -CAkey "$run/tls/ca.key" -CAcreateserial -days "$days" \
    -extfile "$run/tls/$name.ext" -out "$run/tls/$name.crt" 2>/dev/null
  cat "$run/tls/$name.key" "$run/tls/$name.crt" >"$run/tls/$name.pem"
}
certificates() {
  [ -e "$run/tls/.ok" ] && return 0
  rm -rf "$run/tls"
  (umask 077 && mkdir -p "$run/tls")
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj "/CN=sightline test authority" \
    -keyout "$run/tls/ca.key" -out "$run/tls/ca.pem" 2>/dev/null
  certificate server 30
  certificate expired -1
  touch "$run/tls/.ok"
}
secure_settings() {
  local listener mechanism
  cat <<P
listeners=PLAINTEXT://$host:$port,CONTROLLER://$host:$((port + 1)),SASL_SSL://$host:$((port + 2)),SASL_PLAINTEXT://$host:$((port + 3)),EXPIRED://$host:$((port + 4))
advertised.listeners=PLAINTEXT://$host:$port,SASL_SSL://$host:$((port + 2)),SASL_PLAINTEXT://$host:$((port + 3)),EXPIRED://$host:$((port + 4))
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_SSL:SASL_SSL,SASL_PLAINTEXT:SASL_PLAINTEXT,EXPIRED:SSL
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512
listener.name.sasl_ssl.ssl.keystore.type=PEM
listener.name.sasl_ssl.ssl.keystore.location=$run/tls/server.pem
listener.name.expired.ssl.keystore.type=PEM
listener.name.expired.ssl.keystore.location=$run/tls/expired.pem
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS;User:alice
allow.everyone.if.no.acl.found=false
P
  for listener in sasl_ssl sasl_plaintext; do
    echo "listener.name.$listener.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_alice=\"alice-secret\" user_mallory=\"mallory-secret\";"
    for mechanism in 256 512; do
      echo "listener.name.$listener.scram-sha-$mechanism.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;"
    done
  done
}
configure() {
  mkdir -p "$run/log"
  [ -z "$secure" ] || certificates
  {
    cat <<P
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@$host:$((port + 1))
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs=$run/data
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
P
    if [ -n "$secure" ]; then
      secure_settings
    else
      cat <<P
listeners=PLAINTEXT://$host:$port,CONTROLLER://$host:$((port + 1))
advertised.listeners=PLAINTEXT://$host:$port
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
P
    fi
    [ -z "${KAFKA_MESSAGE_MAX:-}" ] || echo "message.max.bytes=$KAFKA_MESSAGE_MAX"
    [ -z "${KAFKA_SETTINGS:-}" ] || echo "$KAFKA_SETTINGS"
  } >"$run/server.properties"
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
  local id user users=()
  id=$(tool kafka.tools.StorageTool random-uuid 2>/dev/null | tail -1)
  if [ -n "$secure" ]; then
    for user in alice mallory; do
      users+=(--add-scram "SCRAM-SHA-256=[name=$user,password=$user-secret]" --add-scram "SCRAM-SHA-512=[name=$user,password=$user-secret]")
    done
  fi
  tool kafka.tools.StorageTool format -t "$id" -c "$run/server.properties" "${users[@]}" >"$run/log/format.log" 2>&1 || { cat "$run/log/format.log" >&2; die "the data folder could not be made"; }
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
  kill) slay broker ;;
  pause) tell STOP broker ;;
  resume) tell CONT broker ;;
  where) echo "$run" ;;
  status) alive broker && echo "running, process $(cat "$run/broker.pid")" || { echo stopped; exit 1; } ;;
  wipe) ! alive broker || die "stop it first"; rm -rf "$run" ;;
  *) echo "usage: kafka.sh install|start|stop|kill|pause|resume|where|status|wipe" >&2; exit 2 ;;
esac
