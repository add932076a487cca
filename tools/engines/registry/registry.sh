#!/usr/bin/env bash
# Apicurio Registry 2.6.13, in memory, with Confluent's API below /apis/ccompat/v7: registry.sh install|start|stop|where|status|wipe
# REGISTRY_PORT (18085), REGISTRY_BIND (the address to listen on), REGISTRY_HEAP (384m).
set -euo pipefail
engine=registry
here=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)
. "$here/../lib.sh"
version=2.6.13.Final
port=${REGISTRY_PORT:-18085}
host=${REGISTRY_BIND:-$host}
heap=${REGISTRY_HEAP:-384m}
home=$engines/registry-$version
run=$runs/registry-$port
java=${JAVA_HOME:+$JAVA_HOME/bin/}java

install_() {
  [ -e "$home/.ok" ] && return 0
  "$repository/tools/deps/install-apt" engines
  say "fetching $version"
  rm -rf "$home"
  mkdir -p "$home/archive" "$home/app"
  cp "$here/pom.xml" "$home/"
  (cd "$home" && jars "$home/archive")
  checked "$home/archive" "$here/sha256.txt"
  tar xzf "$home"/archive/*.tar.gz -C "$home/app"
  rm -rf "$home/archive"
  touch "$home/.ok"
}
open() { curl -fsS -m 2 "http://$host:$port/apis/ccompat/v7/subjects"; }
start() {
  alive registry && return 0
  install_
  mkdir -p "$run/log"
  local jar
  jar=$(find "$home/app" -maxdepth 2 \( -name 'quarkus-run.jar' -o -name 'apicurio-registry-app-*-runner.jar' \) | head -1)
  cd "$(dirname "$jar")"
  spawn registry "$java" -Xmx"$heap" -Dquarkus.http.host="$host" -Dquarkus.http.port="$port" -Dquarkus.management.host="$host" \
    -Dquarkus.management.port=$((port + 1)) -jar "$jar"
  await registry 120 open
  say "$version is ready on http://$host:$port/apis/ccompat/v7"
}

case ${1:-} in
  install) install_ ;;
  start) start ;;
  stop) end registry ;;
  where) echo "$run" ;;
  status) alive registry && echo "running, process $(cat "$run/registry.pid")" || { echo stopped; exit 1; } ;;
  wipe) ! alive registry || die "stop it first"; rm -rf "$run" ;;
  *) echo "usage: registry.sh install|start|stop|where|status|wipe" >&2; exit 2 ;;
esac
