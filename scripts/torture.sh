#!/usr/bin/env bash
# Does to grepd's plugin what can be done to it, at length, and prints a report. In a group
# of five daemons on this machine, one of which is asked 20 times a second: reloads between
# two editions of the plugin, programs that are no good, kills, stops, a busy machine. In
# all this no query may come back short, and no member may declare the node failed. Also
# counts what reloads leave behind in the host. Takes about seven minutes; go test ./grepd/e2e
# does the same in short.
#
# Usage: scripts/torture.sh [FLAG...]
#
#   -reloads N       reloads in the group (200)
#   -gap T           the longest that 99 % of them may keep the plugin from work (20ms)
#   -kills N         kills of the plugin (50)
#   -stops N         stops of the plugin by SIGSTOP (20)
#   -replace T       the longest that replacing a stopped plugin may take (1.2s)
#   -busy T          for how long the machine is kept busy (20s)
#   -burners N       with how many processes (20)
#   -host-reloads N  reloads of a host alone, whose goroutines and files are counted (1000)
#   -h               print this
#
# Exit status 1: something broke; the whole output of the tests is printed then. 2: a bad
# flag. The figures are worth something on an otherwise idle machine only. Reports that were
# kept are in scripts/bench/runs.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/machine.sh
source scripts/machine.sh

usage() { sed -n '2,/^set /s/^# \{0,1\}//p' scripts/torture.sh; }

host_reloads=1000
flags=(-reloads 200 -gap 20ms -kills 50 -stops 20 -replace 1.2s -busy 20s -burners 20)
while (($#)); do
  case $1 in
    -h | -help | --help)
      usage
      exit 0
      ;;
    -reloads | -gap | -kills | -stops | -replace | -busy | -burners | -host-reloads) ;;
    *)
      echo "torture.sh: $1 is none of its flags; scripts/torture.sh -h lists them" >&2
      exit 2
      ;;
  esac
  if (($# < 2)); then
    echo "torture.sh: $1 wants a value" >&2
    exit 2
  fi
  if [[ $1 == -host-reloads ]]; then
    host_reloads=$2
  else
    flags+=("$1" "$2") # of a flag that is given twice, the last counts
  fi
  shift 2
done

output=$(mktemp)
trap 'rm -f "$output"' EXIT
failed=0

# torture COMMAND... runs tests, and prints what they report.
torture() {
  local status=0
  "$@" >"$output" 2>&1 || status=$?
  if ((status)); then
    failed=1
    cat "$output"
  else
    sed -n -e 's/^ *[a-z_]*_test\.go:[0-9]*: /  /p' -e 's/^ *--- //p' "$output"
  fi
}

echo "scripts/torture.sh ${flags[*]} -host-reloads $host_reloads"
describe_machine
echo
torture go test -count=1 -v -timeout 30m -run '^(TestPluginTorture|TestKilledDaemonLeavesNothingBehind)$' ./grepd/e2e "${flags[@]}"
torture go test -count=1 -v -timeout 30m -run '^TestReloadsLeaveNothingBehind$' ./grepd/internal/pluginhost -reloads "$host_reloads"
echo
describe_load 'at the end'
if ((failed)); then
  echo 'something broke'
  exit 1
fi
echo 'nothing broke'
