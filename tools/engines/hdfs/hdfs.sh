#!/usr/bin/env bash
# Apache HDFS 3.5.0, one name node and one data node:
# hdfs.sh install|start|stop|kill|pause|resume|status|where|wipe
#   hdfs.sh dfs ARGS...               Hadoop's own file system shell, for a second opinion
# HDFS_PORT (17020; the four ports above it are taken too), HDFS_BIND (the address to listen on), HDFS_HEAP (256m), HDFS_PERMISSIONS (true).
set -euo pipefail
engine=hdfs
here=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)
. "$here/../lib.sh"
version=3.5.0
port=${HDFS_PORT:-17020}
host=${HDFS_BIND:-$host}
heap=${HDFS_HEAP:-256m}
home=$engines/hdfs-$version
run=$runs/hdfs-$port
java=${JAVA_HOME:+$JAVA_HOME/bin/}java
opens=(--add-opens=java.base/java.lang=ALL-UNNAMED --add-opens=java.base/java.nio=ALL-UNNAMED --add-opens=java.base/sun.nio.ch=ALL-UNNAMED)
# Whoever runs this is the super user.
export HADOOP_USER_NAME=${HADOOP_USER_NAME:-$(id -un)}

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
tool() { "$java" "${opens[@]}" -Xmx"$heap" -cp "$run/conf:$home/libs/*" "$@"; }
server() { spawn "$1" "$java" "${opens[@]}" -Djava.net.preferIPv4Stack=true -Xmx"$heap" -cp "$run/conf:$home/libs/*" "$2"; }
configure() {
  # The jars lack the folders of the web pages; empty ones will do.
  mkdir -p "$run"/{conf,log,name,blocks,tmp} "$run"/conf/webapps/{hdfs,datanode,static}/WEB-INF
  property() { echo "<property><name>$1</name><value>$2</value></property>"; }
  {
    echo '<configuration>'
    property fs.defaultFS "hdfs://$host:$port"
    property hadoop.tmp.dir "$run/tmp"
    echo '</configuration>'
  } >"$run/conf/core-site.xml"
  {
    echo '<configuration>'
    property dfs.replication 1
    property dfs.namenode.name.dir "file://$run/name"
    property dfs.datanode.data.dir "file://$run/blocks"
    property dfs.namenode.rpc-address "$host:$port"
    property dfs.namenode.rpc-bind-host "$host"
    property dfs.namenode.http-address "$host:$((port + 1))"
    property dfs.datanode.address "$host:$((port + 2))"
    property dfs.datanode.http.address "$host:$((port + 3))"
    property dfs.datanode.ipc.address "$host:$((port + 4))"
    property dfs.datanode.hostname "$host"
    property dfs.client.use.datanode.hostname true
    property dfs.datanode.use.datanode.hostname true
    property dfs.namenode.datanode.registration.ip-hostname-check false
    property dfs.permissions.enabled "${HDFS_PERMISSIONS:-true}"
    property dfs.namenode.safemode.extension 0
    property dfs.namenode.secondary.http-address "$host:0"
    property dfs.blocksize 8388608
    property dfs.namenode.fs-limits.min-block-size 65536
    property dfs.heartbeat.interval 1
    # Else it takes nothing on a disk with less than 1 GiB of room.
    property dfs.datanode.round-robin-volume-choosing-policy.additional-available-space 0
    echo '</configuration>'
  } >"$run/conf/hdfs-site.xml"
  cat >"$run/conf/log4j.properties" <<'P'
log4j.rootLogger=INFO,C
log4j.appender.C=org.apache.log4j.ConsoleAppender
log4j.appender.C.target=System.err
log4j.appender.C.layout=org.apache.log4j.PatternLayout
log4j.appender.C.layout.ConversionPattern=%d %p %c{1}: %m%n
P
}
ready() {
  local state
  state=$(curl -fsS -m 2 "http://$host:$((port + 1))/jmx?qry=Hadoop:service=NameNode,name=FSNamesystemState" | tr -d ' \n')
  [[ $state == *'"FSState":"Operational"'* && $state == *'"NumLiveDataNodes":1'* ]]
}
start() {
  alive namenode && alive datanode && return 0
  install_
  configure
  [ -d "$run/name/current" ] ||
    tool org.apache.hadoop.hdfs.server.namenode.NameNode -format -nonInteractive >"$run/log/format.log" 2>&1 ||
    { tail -20 "$run/log/format.log" >&2; die "formatting failed"; }
  alive namenode || server namenode org.apache.hadoop.hdfs.server.namenode.NameNode
  alive datanode || server datanode org.apache.hadoop.hdfs.server.datanode.DataNode
  await namenode 90 ready
  say "$version is ready on hdfs://$host:$port"
}

case ${1:-} in
  install) install_ ;;
  start) start ;;
  stop) end datanode; end namenode ;;
  kill) slay datanode; slay namenode ;;
  pause) tell STOP datanode namenode ;;
  resume) tell CONT datanode namenode ;;
  where) echo "$run" ;;
  status) alive namenode && alive datanode && echo "running, processes $(cat "$run/namenode.pid") $(cat "$run/datanode.pid")" || { echo stopped; exit 1; } ;;
  dfs) shift; "$java" "${opens[@]}" -cp "$run/conf:$home/libs/*" org.apache.hadoop.fs.FsShell "$@" ;;
  wipe) ! alive namenode || die "stop it first"; rm -rf "$run" ;;
  *) echo "usage: hdfs.sh install|start|stop|kill|pause|resume|status|where|dfs|wipe" >&2; exit 2 ;;
esac
