#!/usr/bin/env bash
# Prints the head of a report: the date, the code that it is about, and the machine. Another
# script can source this file, at the root of the repository, and use its functions.
#
# Usage: scripts/machine.sh
set -euo pipefail

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

# describe_load WHEN prints the machine's load.
describe_load() {
  echo "load     $(uptime | sed 's/.*load average/average/') $1"
}

# describe_machine prints a report's head.
describe_machine() {
  local changed
  changed=$(git status --porcelain | head -n 1)
  echo "date     $(date -u +%Y-%m-%dT%H:%M:%SZ)"
  echo "commit   $(git rev-parse --short HEAD)${changed:+ and changes that are not committed}"
  echo "machine  $(uname -srm), $(getconf _NPROCESSORS_ONLN) x $(processor)"
  echo "go       $(go env GOVERSION)"
  echo "priority $(priority)"
  describe_load 'at the start'
}

if [[ ${BASH_SOURCE[0]} == "$0" ]]; then
  cd "$(dirname "$0")/.."
  describe_machine
fi
