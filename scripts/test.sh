#!/usr/bin/env bash
# Runs every test: all packages under the race detector, then the end-to-end tests with
# real processes, alone, since they measure times: once with daemons that have the race
# detector built in, once with daemons as they are. Needs Go; without a C compiler there is
# no race detector, and it says so. On two cores it takes a quarter of an hour when nothing
# is built yet.
#
# Usage: scripts/test.sh [FLAG...]     flags for go test, such as -v or -run REGEXP
set -euo pipefail
cd "$(dirname "$0")/.."

race=(-race)
export CGO_ENABLED=1 # the race detector is in C
if ! command -v "$(go env CC)" >/dev/null; then
  echo "test.sh: no C compiler ($(go env CC)), so the tests run without the race detector (Debian: apt-get install gcc libc6-dev)" >&2
  race=()
  export CGO_ENABLED=0
fi
failed=0
run() {
  echo "+ $*"
  "$@" || failed=1
}

packages=()
while IFS= read -r package; do
  packages+=("$package")
done < <(go list ./... | grep -v '/grepd/e2e$')

run go test ${race[@]+"${race[@]}"} -timeout 10m "$@" "${packages[@]}"
if ((${#race[@]})); then
  run go test -race -count=1 -timeout 10m "$@" ./grepd/e2e
fi
# -v: the measured times are worth seeing also where all is well.
run go test -count=1 -v -timeout 10m "$@" ./grepd/e2e

if ((failed)); then
  echo 'tests failed'
  exit 1
fi
echo 'all tests passed'
