#!/usr/bin/env bash
# Follows logs as in production and prints a report: six daemons on this machine, 18 logs of
# 20 lines a second, which are rotated in the ways of logrotate, by renaming and by
# copytruncate, compressed at once and a rotation later. Meanwhile daemons are killed, upgraded
# and given new plugins. Two dgreps follow all that; by sequence numbers each line must have
# been printed once, and no gap told. Takes about two minutes longer than it writes. Linux.
#
# Usage: scripts/soak.sh [FLAG...]
#
#   -minutes N   how long lines are written (20)
#   -lines N     lines a second of each log (20)
#   -rotate T    mean time between rotations of a log (40s)
#   -kills N     daemons that are killed (3)
#   -upgrades N  daemons that are upgraded (12)
#   -plugins N   plugins that are replaced (8)
#   -seed N      what happens when is drawn from this; by default another one each time
#   -h           print this
#
# Exit status 1: a line was lost or doubled, or a gap told; the report says which. 2: a bad
# flag. Reports that were kept are in scripts/bench/runs.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/machine.sh
source scripts/machine.sh

usage() { sed -n '2,/^set /s/^# \{0,1\}//p' scripts/soak.sh; }

for flag; do
  case $flag in
    -h | -help | --help)
      usage
      exit 0
      ;;
  esac
done

bin=$(mktemp -d "${TMPDIR:-/tmp}/grepd-soak-bin.XXXXXX")
soak=
cleanup() {
  if [[ -n $soak ]]; then
    if kill -TERM "$soak" 2>/dev/null; then wait "$soak" || true; fi
  fi
  rm -rf "$bin"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

scripts/build.sh "$bin" >/dev/null
go build -o "$bin/soak" ./scripts/soak
# A bad flag is complained of before the report begins.
"$bin/soak" -check "$@" || exit
echo "scripts/soak.sh $*"
describe_machine
echo
status=0
"$bin/soak" -bin "$bin" "$@" &
soak=$!
wait "$soak" || status=$?
soak=
echo
describe_load 'at the end'
if ((status)); then
  echo 'not every line was printed once'
  exit "$status"
fi
echo 'every line was printed once, and no gap was told'
