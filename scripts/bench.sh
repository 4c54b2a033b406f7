#!/usr/bin/env bash
# Runs a benchmark and prints its report, which begins with the machine, the date and the
# commit. The figures are worth something on an otherwise idle machine only.
#
# Usage: scripts/bench.sh NAME [FLAG...]     -h as a flag shows the benchmark's flags
#
#   scripts/bench.sh membership           this protocol beside hashicorp/memberlist
#   scripts/bench.sh scale                1,000 members in one process
#   scripts/bench.sh search               dgrep beside GNU grep and ripgrep
#   scripts/bench.sh gray                 one sick machine in a group, beside memberlist and
#                                         serf; needs root
#
# Reports that were kept are in scripts/bench/runs.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/machine.sh
source scripts/machine.sh

# run COMMAND... runs a command. Who ends this script meanwhile ends the command first, which
# may have something to put away. set -m keeps Ctrl-C from what the command has started.
run() {
  local child status=0 signalled=0
  set -m
  "$@" &
  child=$!
  # shellcheck disable=SC2064 # the child as it is now
  trap "signalled=1; kill -INT $child 2>/dev/null || true" INT TERM HUP
  wait "$child" || status=$?
  while kill -0 "$child" 2>/dev/null; do # the wait was cut short by a signal
    status=0
    wait "$child" || status=$?
  done
  trap - INT TERM HUP
  if ((signalled && !status)); then status=1; fi
  return "$status"
}

name=${1:-}
if [[ -z $name || ! -f scripts/bench/$name/main.go ]]; then
  echo "usage: scripts/bench.sh membership|scale|search|gray [FLAG...]" >&2
  exit 2
fi
shift

bin=$(mktemp -d)
trap 'rm -rf "$bin"' EXIT
run go build -C scripts/bench -o "$bin/$name" "./$name"

echo "scripts/bench.sh $name $*"
describe_machine
echo
status=0
run "$bin/$name" "$@" || status=$?
echo
describe_load 'at the end'
exit "$status"
