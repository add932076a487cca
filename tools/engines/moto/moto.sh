#!/usr/bin/env bash
# S3 as moto 5.2.5 plays it: another reading of the protocol; it checks no credentials. moto.sh install|start|stop|status|bucket NAME|wipe
# MOTO_PORT (17071). Everything is in memory and gone when it stops.
set -euo pipefail
engine=moto
here=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)
. "$here/../lib.sh"
version=5.2.5
port=${MOTO_PORT:-17071}
home=$engines/moto-$version
run=$runs/moto-$port

install_() {
  [ -e "$home/.ok" ] && return 0
  "$repository/tools/deps/install-apt" engines
  say "installing $version"
  rm -rf "$home"
  python3 -m venv "$home"
  "$home/bin/python" -m pip --disable-pip-version-check install -q --no-deps --require-hashes --only-binary :all: -r "$here/pypi.txt" >&2
  touch "$home/.ok"
}
start() {
  alive server && return 0
  install_
  mkdir -p "$run/log"
  spawn server "$home/bin/moto_server" -H "$host" -p "$port"
  await server 60 listens "$port"
  say "$version is ready on $host:$port"
}

case ${1:-} in
  install) install_ ;;
  start) start ;;
  stop) end server ;;
  status) alive server && echo "running, process $(cat "$run/server.pid")" || { echo stopped; exit 1; } ;;
  bucket) curl -fsS -o /dev/null -X PUT -H 'Authorization: AWS4-HMAC-SHA256 Credential=any/20200101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=none' "http://$host:$port/${2:?bucket needs a name}" ;;
  wipe) ! alive server || die "stop it first"; rm -rf "$run" ;;
  *) echo "usage: moto.sh install|start|stop|status|bucket|wipe" >&2; exit 2 ;;
esac
