#!/usr/bin/env bash
# Runs a cluster of grepd daemons with membership on this machine, to try things out on,
# until Ctrl-C. Each daemon has a directory of its own under a temporary one. Needs Go.
#
# Usage: scripts/cluster.sh [NODES [FIRST_PORT]]     (default: 5 7117)
#
# Another script can source this file and use its functions; it then has to call
# cluster_stop when it ends, whatever the reason.
set -euo pipefail

cluster_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cluster_bin=$cluster_root/bin
cluster_await_max=15 # seconds that a few daemons may take to agree
cluster_stop_max=10  # seconds that a daemon may take to leave and end
cluster_dir=         # the nodes' directories are below it
cluster_addrs=()
cluster_pids=()

# cluster_check_ports names the taken ones among the addresses, and then exits with 2.
cluster_check_ports() {
  (cd "$cluster_root" && go build -o "$cluster_bin/freeports" ./scripts/freeports)
  if ! "$cluster_bin/freeports" "$@"; then
    echo "nothing was started: end what uses these ports, and try again" >&2
    exit 2
  fi
}

# cluster_start NODES FIRST_PORT builds the binaries and starts the daemons. The first
# two are gateways. Nothing is started where a port is taken.
cluster_start() {
  local nodes=$1 first_port=$2 i
  cluster_addrs=()
  for ((i = 0; i < nodes; i++)); do
    cluster_addrs+=("127.0.0.1:$((first_port + i))")
  done
  cluster_check_ports "${cluster_addrs[@]}"
  "$cluster_root/scripts/build.sh"
  cluster_dir=$(mktemp -d "${TMPDIR:-/tmp}/grepd-cluster.XXXXXX")
  for ((i = 0; i < nodes; i++)); do
    cluster_start_node "$i"
  done
}

# cluster_gateways gives what every node is told to join.
cluster_gateways() {
  local gateways=("${cluster_addrs[@]:0:2}")
  (IFS=,; echo "${gateways[*]}")
}

cluster_start_node() {
  local dir=$cluster_dir/node$(($1 + 1))
  mkdir -p "$dir/logs"
  (cd "$dir" && exec "$cluster_bin/grepd" --listen "${cluster_addrs[$1]}" --log-dir "$dir/logs" \
    --with-membership --gateway "$(cluster_gateways)" >output 2>&1 </dev/null) &
  cluster_pids[$1]=$!
  disown # bash need not report how it ends
}

# cluster_list NODE gives a node's member list as JSON without blanks, or nothing.
cluster_list() {
  "$cluster_bin/grepd" members --json --via "${cluster_addrs[$1]}" 2>/dev/null | tr -d ' \n' || true
}

# cluster_agrees ALIVE FAILED NODE... succeeds where the lists of all these nodes hold
# so many members alive and so many failed, and are the same.
cluster_agrees() {
  local alive=$1 failed=$2 digest='' list node
  shift 2
  for node; do
    list=$(cluster_list "$node")
    [[ $(cluster_count alive "$list") == "$alive" ]] || return 1
    [[ $(cluster_count failed "$list") == "$failed" ]] || return 1
    list=$(sed -n 's/.*"digest":"\([^"]*\)".*/\1/p' <<<"$list")
    [[ -z $digest || $digest == "$list" ]] || return 1
    digest=$list
  done
}

# cluster_count STATE LIST counts the members in that state.
cluster_count() {
  local rest=${2//\"state\":\"$1\"/}
  echo $(((${#2} - ${#rest}) / (${#1} + 10)))
}

# cluster_await_agreement waits for what cluster_agrees looks for.
cluster_await_agreement() {
  local began=$SECONDS
  until cluster_agrees "$@"; do
    if ((SECONDS - began > cluster_await_max)); then
      echo "the lists did not agree within $cluster_await_max s; what the daemons said:" >&2
      tail -n 20 "$cluster_dir"/node*/output >&2
      return 1
    fi
    sleep 0.1
  done
}

# cluster_plugin_pid NODE gives the process of a node's membership plugin.
cluster_plugin_pid() {
  "$cluster_bin/grepd" status --json --via "${cluster_addrs[$1]}" | tr -d ' \n' |
    sed -n 's/.*"pid":"\{0,1\}\([0-9]\{1,\}\).*/\1/p'
}

# cluster_successor NODE gives the process that took a node's daemon over in an upgrade, or nothing.
cluster_successor() {
  local status
  status=$("$cluster_bin/grepd" status --json --via "${cluster_addrs[$1]}" 2>/dev/null | tr -d ' \n') || true
  if [[ $status != *"\"logs=$cluster_dir/"* ]]; then return 0; fi
  status=${status#*\"pid\":}
  echo "${status%%[!0-9]*}"
}

# cluster_stop ends every daemon that was started, and removes the directory.
cluster_stop() {
  local pid node began=$SECONDS
  for node in ${cluster_pids[@]+"${!cluster_pids[@]}"}; do
    if kill -0 "${cluster_pids[$node]}" 2>/dev/null; then continue; fi
    pid=$(cluster_successor "$node")
    cluster_pids[node]=${pid:-${cluster_pids[$node]}}
  done
  for pid in ${cluster_pids[@]+"${cluster_pids[@]}"}; do
    kill "$pid" 2>/dev/null || true # it may have been killed already
  done
  for pid in ${cluster_pids[@]+"${cluster_pids[@]}"}; do
    while kill -0 "$pid" 2>/dev/null; do
      if ((SECONDS - began > cluster_stop_max)); then
        echo "process $pid did not end within $cluster_stop_max s, so it is killed" >&2
        kill -9 "$pid" 2>/dev/null || true
        break
      fi
      sleep 0.1
    done
  done
  cluster_pids=()
  if [[ -n $cluster_dir ]]; then rm -rf "$cluster_dir"; fi
  cluster_dir=
}

if [[ ${BASH_SOURCE[0]} != "$0" ]]; then return 0; fi

nodes=${1:-5}
first_port=${2:-7117}
trap cluster_stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
cluster_start "$nodes" "$first_port"
all=()
for ((i = 0; i < nodes; i++)); do all+=("$i"); done
cluster_await_agreement "$nodes" 0 "${all[@]}"
cat <<TXT
$nodes daemons run, with their logs in $cluster_dir/node*/logs. Try, in another terminal:

    export PATH=$cluster_bin:\$PATH DGREP_VIA=${cluster_addrs[0]}
    grepd members --via ${cluster_addrs[0]}
    dgrep JOIN 'logs/*'

Ctrl-C ends them all.
TXT
while :; do sleep 1; done
