#!/usr/bin/env bash
# Runs all simulations that membership/PROTOCOL.md quotes, and prints the report: the reports that
# were kept are scripts/bench/runs/*-simulation.txt. Simulated times do not depend on the machine,
# and the seeds are fixed; so one commit gives one report, line for line. It takes about 75 minutes
# on two cores.
#
# Usage: scripts/proof.sh [-short]    -short takes a hundredth of all, to see that it works
#
# Exit status 1: a bound broke, or a healthy member beside a gray one was declared failed.
set -euo pipefail
cd "$(dirname "$0")/.."
share=1
case ${1-} in
'') ;;
-short) share=100 ;;
*)
  echo "scripts/proof.sh: unknown argument '$1'; the only one is -short" >&2
  exit 2
  ;;
esac

bin=$(mktemp -d)
trap 'rm -rf "$bin"' EXIT
go build -o "$bin/sim" ./membership/membershiptest/cmd/sim

# portion N is that share of N hours or trials, and at least one.
portion() { echo $((($1 + share - 1) / share)); }

status=0
sim() {
  echo
  echo "scripts/sim.sh $*"
  "$bin/sim" "$@" || status=1
}

echo "Simulation, on $(date -u +%F). The times in it do not depend on the machine."
echo
echo "commit $(git rev-parse --short HEAD)$(git diff --quiet HEAD -- membership || echo ', with changes that are not committed')"

# Crashes: one to three at once.
for ((i = 0; i < 10; i++)); do
  sim -trials "$(portion 10000)" -seed $((i * 10000 + 1))
done
sim -trials "$(portion 100)" -n 10000
sim -trials "$(portion 2000)" -n 4-200 -loss 5 -spikes 0

# One gray member, and nobody crashes; then three crashes at once beside it.
for n in 12 30 100 300; do
  for direction in in out both; do
    sim -gray $direction -n $n -hours "$(portion 2)"
  done
done
for direction in in out both; do
  sim -gray $direction -n 30 -trials "$(portion 1000)" -crashes 3
done

# Nobody crashes: false failures over loss and pauses, and traffic.
sim -curve -n 50 -loss 0 -hours "$(portion 1000)"
sim -curve -n 50 -loss 5 -hours "$(portion 1000)"
sim -curve -n 50 -loss 10 -hours "$(portion 10000)"
sim -curve -n 50 -loss 20 -hours "$(portion 10000)"
sim -curve -n 50 -loss 30 -hours "$(portion 1000)"
sim -curve -n 50 -loss 0 -pauses 1s -apart -hours "$(portion 10000)"
sim -curve -n 50 -loss 0 -pauses 1s -hours "$(portion 10000)"
sim -curve -n 10 -loss 0 -pauses 1s -hours "$(portion 1500)"
sim -curve -n 50 -loss 10 -pauses 1s -hours "$(portion 200)"
sim -curve -n 3 -loss 10 -pauses 1s -hours "$(portion 200)"
for n in 10 100 1000 10000; do
  sim -curve -loss 0 -n $n -hours "$(portion 100)"
done

# Every way that three and four members can take.
if ((share == 1)); then
  sim -explore -n 3 -faults 2
  sim -explore -n 3 -faults 3
  sim -explore -n 4 -faults 2
  sim -explore -n 3 -faults 1 -crashes 1
  sim -explore -n 3 -faults 1 -leaves 1
  sim -explore -n 3 -faults 1 -pauses 1 -window 1s
  sim -explore -n 3 -crashes 1 -leaves 1
  sim -explore -n 3 -crashes 1 -pauses 1
  sim -explore -n 3 -crashes 1 -restarts 1 -window 1s
  sim -explore -n 4 -crashes 1 -pauses 1 -window 300ms
  sim -explore -n 3 -faults 1 -crashes 1 -pauses 1 -leaves 1 -window 100ms
  sim -explore -n 4 -crashes 1 -pauses 1 -leaves 1 -window 100ms
  sim -explore -n 3 -forming -faults 2 -window 1500ms
fi
exit "$status"
