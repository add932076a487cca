#!/usr/bin/env bash
# PostgreSQL 15 of Debian, one private server: postgres.sh install|start|stop|kill|pause|resume|status|url|psql|wipe
# POSTGRES_PORT (15432), POSTGRES_BIND (the address to listen on; fixed by the first start), POSTGRES_TLS (off; on; expired: with a
# certificate that ran out), POSTGRES_OPTIONS ("-c fsync=off …").
# Logical replication is on. Database and superuser are `lab`, with a password made at the first start; `url` prints the connection, and
# `psql [...]` connects so. tls/ca.pem in the server's folder (printed by `folder`) is the authority of its certificate.
set -euo pipefail
engine=postgres
here=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)
. "$here/../lib.sh"
port=${POSTGRES_PORT:-15432}
host=${POSTGRES_BIND:-$host}
tls=${POSTGRES_TLS:-off}
bin=/usr/lib/postgresql/15/bin

# The server refuses to run as root; the user `postgres` of the package takes its place, who must be able to reach the folder.
as=()
if [ "$(id -u)" -eq 0 ]; then
  as=(setpriv --reuid=postgres --regid=postgres --init-groups env -i PATH="$bin:/usr/bin:/bin" LC_ALL=C.UTF-8)
  mkdir -p "$engines"
  if ! getent passwd postgres >/dev/null || ! "${as[@]}" test -x "$engines" 2>/dev/null; then
    engines=/var/tmp/sightline-engines
    mkdir -p "$engines"
    chmod 755 "$engines"
  fi
fi
run=${SIGHTLINE_ENGINES_RUN:-$engines/run}/postgres-$port
as_server() { (cd / && "${as[@]}" "$@"); }
postmaster() { head -1 "$run/data/postmaster.pid" 2>/dev/null; }
# Whether one of the processes lives; one that ended and was not waited for does not.
live() { local pid; for pid in "$@"; do case $(ps -o stat= -p "$pid") in '' | Z*) ;; *) return 0 ;; esac; done; return 1; }
running() { local pid; pid=$(postmaster) && [ -n "$pid" ] && live "$pid"; }
password() { cat "$run/password"; }
client() { PGPASSWORD=$(password) PGHOST=$host PGPORT=$port PGUSER=lab PGDATABASE=lab "$@"; }

install_() {
  [ -x "$bin/initdb" ] && return 0
  "$repository/tools/deps/install-apt" postgres
}
certify() {
  local folder=$run/tls days=30
  mkdir -p "$folder"
  [ "$tls" != expired ] || days=-1
  [ -e "$folder/ca.pem" ] || openssl req -x509 -newkey rsa:2048 -nodes -subj "/CN=sightline test authority" -days 30 -keyout "$folder/ca.key" \
    -out "$folder/ca.pem" 2>/dev/null
  openssl req -newkey rsa:2048 -nodes -subj "/CN=localhost" -keyout "$folder/server.key" -out "$folder/server.csr" 2>/dev/null
  printf 'subjectAltName=DNS:localhost,IP:%s\n' "$host" >"$folder/names"
  openssl x509 -req -in "$folder/server.csr" -CA "$folder/ca.pem" -CAkey "$folder/ca.key" -CAcreateserial -days "$days" \
    -extfile "$folder/names" -out "$folder/server.pem" 2>/dev/null
  chmod 644 "$folder/ca.pem"
  chmod 600 "$folder/server.key"
  [ ${#as[@]} -eq 0 ] || chown postgres: "$folder" "$folder/server.key" "$folder/server.pem"
}
configure() {
  mkdir -p "$run/log"
  if [ ! -e "$run/password" ]; then
    (umask 077 && head -c 18 /dev/urandom | base64 | tr -d '/+=\n' >"$run/password")
  fi
  [ ${#as[@]} -eq 0 ] || chown postgres: "$run" "$run/log" "$run/password"
  if [ ! -e "$run/data/PG_VERSION" ]; then
    as_server "$bin/initdb" -D "$run/data" -U lab --auth=scram-sha-256 --pwfile="$run/password" -E UTF8 --locale=C.UTF-8 >"$run/log/initdb.log" 2>&1 ||
      { cat "$run/log/initdb.log" >&2; die "initdb failed"; }
    cat >>"$run/data/postgresql.conf" <<P
listen_addresses = '$host'
unix_socket_directories = '$run'
wal_level = logical
max_replication_slots = 10
max_wal_senders = 10
max_slot_wal_keep_size = 256MB
shared_buffers = 128MB
include_if_exists = 'tls.conf'
P
    # Beyond this machine's own addresses, which initdb lets in.
    [ "$host" = 127.0.0.1 ] || echo "host all all 0.0.0.0/0 scram-sha-256" >>"$run/data/pg_hba.conf"
  fi
  local set="ssl = off"
  if [ "$tls" != off ]; then
    certify
    set="ssl = on
ssl_cert_file = '$run/tls/server.pem'
ssl_key_file = '$run/tls/server.key'"
  fi
  echo "$set" | as_server tee "$run/data/tls.conf" >/dev/null
}
start() {
  running && return 0
  install_
  configure
  # Of one that was killed.
  rm -f "$run/data/postmaster.pid" "$run/.s.PGSQL.$port" "$run/.s.PGSQL.$port.lock"
  as_server "$bin/pg_ctl" -D "$run/data" -l "$run/log/server.log" -o "-p $port ${POSTGRES_OPTIONS:-}" -w -t 60 -s start ||
    { tail -20 "$run/log/server.log" >&2; die "it did not start; its log is $run/log/server.log"; }
  client psql -qd postgres -Atc "select 1 from pg_database where datname = 'lab'" | grep -q 1 || client psql -qd postgres -c "create database lab"
  say "15 is ready on $host:$port"
}

# The server and its children: of a killed one they end by themselves, a paused one is paused whole.
family() { local pid; pid=$(postmaster); echo "$pid"; ps -o pid= --ppid "$pid"; }

case ${1:-} in
  install) install_ ;;
  start) start ;;
  stop) ! running || as_server "$bin/pg_ctl" -D "$run/data" -m fast -w -s stop ;;
  kill)
    if running; then
      pids=$(family)
      kill -9 $pids 2>/dev/null || true
      for _ in $(seq 1 100); do live $pids || break; sleep 0.05; done
    fi
    ;;
  pause) kill -STOP $(family) ;;
  resume) kill -CONT $(family) ;;
  status) running && echo "running, process $(postmaster)" || { echo stopped; exit 1; } ;;
  folder) echo "$run" ;;
  url) echo "postgresql://lab:$(password)@$host:$port/lab" ;;
  psql) shift; client psql "$@" ;;
  wipe) ! running || die "stop it first"; rm -rf "$run" ;;
  *) echo "usage: postgres.sh install|start|stop|kill|pause|resume|status|folder|url|psql|wipe" >&2; exit 2 ;;
esac
