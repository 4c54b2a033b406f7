#!/usr/bin/env bash
# Runs the membership protocol in simulation; scripts/sim.sh -h says how. The last line is
# a summary. Exit status 1: a bound broke, or a replay is not as recorded; 2: bad flags, or a
# bad file.
#
#   scripts/sim.sh -trials 2000 -n 4-200 -loss 5     before a change is trusted
#   scripts/sim.sh -trials 100000                    the long run
#   scripts/sim.sh -seed 7 -trials 1 -v              one trial's transcript
#   scripts/sim.sh -curve -hours 10000               false failures over loss
#   scripts/sim.sh -replay FILE                      what a live member did: see grepd record
#   scripts/sim.sh -explore -n 3 -faults 2           every way that three members can take
set -euo pipefail
bin=$(mktemp -d)
trap 'rm -rf "$bin"' EXIT
go build -C "$(dirname "$0")/.." -o "$bin/sim" ./membership/membershiptest/cmd/sim
status=0
"$bin/sim" "$@" || status=$?
exit "$status"
