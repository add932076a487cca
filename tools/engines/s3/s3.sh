#!/usr/bin/env bash
# S3: versitygw 1.8.0 over a folder; it checks credentials and rights.
# s3.sh install|start|stop|kill|pause|resume|status|where|wipe
#   s3.sh bucket NAME                 makes a bucket of the administrator's
#   s3.sh user ACCESS SECRET          makes an account that may do nothing until it owns a bucket
# S3_PORT (17070), S3_BIND (the address to listen on), S3_ACCESS and S3_SECRET (sightline, sightline-secret), S3_REGION (us-east-1),
# S3_DATA (a folder for the objects).
# With S3_CERT and S3_KEY (PEM files) it speaks TLS.
set -euo pipefail
engine=s3
here=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)
. "$here/../lib.sh"
version=v1.8.0
port=${S3_PORT:-17070}
host=${S3_BIND:-$host}
home=$engines/versitygw-$version
run=$runs/s3-$port
data=${S3_DATA:-$run/root}
# By the environment, not the command line, which everybody on the machine can read.
export ROOT_ACCESS_KEY_ID=${S3_ACCESS:-sightline} ROOT_SECRET_ACCESS_KEY=${S3_SECRET:-sightline-secret}

install_() {
  [ -e "$home/.ok" ] && return 0
  "$repository/tools/deps/install-apt" engines
  say "building $version"
  rm -rf "$home"
  mkdir -p "$home"
  go_program "$home" github.com/versity/versitygw github.com/versity/versitygw/cmd/versitygw "$version" \
    h1:au+wI+aybno/STsQiSm35Uu6Q6iK5MWReQxgO6SEMFc=
  touch "$home/.ok"
}
start() {
  alive gateway && return 0
  install_
  mkdir -p "$run"/{log,iam} "$data"
  local tls=()
  [ -z "${S3_CERT:-}" ] || tls=(--cert "$S3_CERT" --key "$S3_KEY")
  spawn gateway "$home/bin/versitygw" --port "$host:$port" --region "${S3_REGION:-us-east-1}" --iam-dir "$run/iam" --keep-alive --quiet "${tls[@]}" posix "$data"
  await gateway 30 listens "$port"
  say "$version is ready on $host:$port"
}

case ${1:-} in
  install) install_ ;;
  start) start ;;
  stop) end gateway ;;
  kill) slay gateway ;;
  pause) tell STOP gateway ;;
  resume) tell CONT gateway ;;
  where) echo "$run" ;;
  status) alive gateway && echo "running, process $(cat "$run/gateway.pid")" || { echo stopped; exit 1; } ;;
  bucket) mkdir -p "$data/${2:?bucket needs a name}" ;;
  user)
    ADMIN_ACCESS_KEY_ID=$ROOT_ACCESS_KEY_ID ADMIN_SECRET_ACCESS_KEY=$ROOT_SECRET_ACCESS_KEY "$home/bin/versitygw" admin \
      --endpoint-url "http://$host:$port" --region "${S3_REGION:-us-east-1}" create-user --access "${2:?user needs an access key}" \
      --secret "${3:?user needs a secret}" --role user
    ;;
  wipe) ! alive gateway || die "stop it first"; rm -rf "$run" ;;
  *) echo "usage: s3.sh install|start|stop|kill|pause|resume|status|where|bucket|user|wipe" >&2; exit 2 ;;
esac
