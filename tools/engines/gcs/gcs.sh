#!/usr/bin/env bash
# Google Cloud Storage as fake-gcs-server 1.56.1 plays it: the JSON API, no credentials.
# gcs.sh install|start|stop|kill|pause|resume|status|where|bucket NAME|wipe
# GCS_PORT (17072), GCS_BIND (the address to listen on). Everything is in memory and gone when it stops.
set -euo pipefail
engine=gcs
here=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)
. "$here/../lib.sh"
version=v1.56.1
port=${GCS_PORT:-17072}
host=${GCS_BIND:-$host}
home=$engines/fake-gcs-server-$version
run=$runs/gcs-$port

install_() {
  [ -e "$home/.ok" ] && return 0
  "$repository/tools/deps/install-apt" engines
  say "building $version"
  rm -rf "$home"
  mkdir -p "$home"
  go_program "$home" github.com/fsouza/fake-gcs-server github.com/fsouza/fake-gcs-server "$version" \
    h1:K03sAvbLvDz4hAynpCCUqnNRp+ik9JFSvHbkD/wTPOU=
  touch "$home/.ok"
}
start() {
  alive server && return 0
  install_
  mkdir -p "$run/log"
  spawn server "$home/bin/fake-gcs-server" -scheme http -host "$host" -port "$port" -backend memory -external-url "http://$host:$port" \
    -public-host "$host:$port" -log-level warn
  await server 30 listens "$port"
  say "$version is ready on $host:$port"
}

case ${1:-} in
  install) install_ ;;
  start) start ;;
  stop) end server ;;
  kill) slay server ;;
  pause) tell STOP server ;;
  resume) tell CONT server ;;
  where) echo "$run" ;;
  status) alive server && echo "running, process $(cat "$run/server.pid")" || { echo stopped; exit 1; } ;;
  bucket)
    curl -fsS -o /dev/null -X POST -H 'Content-Type: application/json' -d "{\"name\": \"${2:?bucket needs a name}\"}" \
      "http://$host:$port/storage/v1/b?project=sightline"
    ;;
  wipe) ! alive server || die "stop it first"; rm -rf "$run" ;;
  *) echo "usage: gcs.sh install|start|stop|kill|pause|resume|status|where|bucket|wipe" >&2; exit 2 ;;
esac
