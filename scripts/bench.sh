#!/usr/bin/env bash
# Runs a benchmark and prints its report, which begins with the machine, the date and the
# commit. The figures are worth something on an otherwise idle machine only.
#
# Usage: scripts/bench.sh NAME [FLAG...]     -h as a flag shows the benchmark's flags
#
#   scripts/bench.sh membership           this protocol beside hashicorp/memberlist
#   scripts/bench.sh scale                1,000 members in one process
#   scripts/bench.sh search               dgrep beside GNU grep and ripgrep
#
# Reports that were kept are in scripts/bench/runs.
set -euo pipefail
cd "$(dirname "$0")/.."

name=${1:-}
if [[ -z $name || ! -f scripts/bench/$name/main.go ]]; then
  echo "usage: scripts/bench.sh membership|scale|search [FLAG...]" >&2
  exit 2
fi
shift

# processor names the machine's processor, where the system says.
processor() {
  sed -n 's/^model name[^:]*: //p' /proc/cpuinfo 2>/dev/null | head -n 1 || true
}

# priority says what comes before other programs' claims: nothing, as a rule. A machine that
# is shared can be made to look idle, on Linux, by a session of its own with priority:
#   setsid -w bash -c 'echo -17 >/proc/self/autogroup; scripts/bench.sh NAME'
priority() {
  echo "nice $(nice)$(sed -n 's/.* nice/, session nice/p' /proc/self/autogroup 2>/dev/null || true)"
}

bin=$(mktemp -d)
trap 'rm -rf "$bin"' EXIT
go build -C scripts/bench -o "$bin/$name" "./$name"

changed=$(git status --porcelain | head -n 1)
echo "scripts/bench.sh $name $*"
echo "date     $(date -u +%Y-%m-%dT%H:%M:%SZ)"
echo "commit   $(git rev-parse --short HEAD)${changed:+ and changes that are not committed}"
echo "machine  $(uname -srm), $(getconf _NPROCESSORS_ONLN) x $(processor)"
echo "go       $(go env GOVERSION)"
echo "priority $(priority)"
echo "load     $(uptime | sed 's/.*load average/average/') at the start"
echo
status=0
"$bin/$name" "$@" || status=$?
echo
echo "load     $(uptime | sed 's/.*load average/average/') at the end"
exit "$status"
