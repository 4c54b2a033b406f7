#!/usr/bin/env bash
# Runs the tests: the packages under the race detector, then the end-to-end tests with real
# processes, alone, since they measure times. Needs Go; without a C compiler there is no race
# detector, and it says so. On two cores that are idle it takes five minutes when the tests
# have been built before. On a busy machine it takes longer, and a test whose times the machine
# could not keep is skipped, and listed at the end.
#
# With -long it also runs what takes long, or a quiet machine: simulations of many more
# clusters, the torture of the plugin, more upgrades, and the end-to-end tests once more, with
# daemons that have the race detector built in. That takes another ten minutes.
#
# Usage: scripts/test.sh [-long] [FLAG...]     flags for go test, such as -v or -run REGEXP
set -euo pipefail
cd "$(dirname "$0")/.."

long=0
if [[ ${1-} == -long || ${1-} == --long ]]; then
  long=1
  shift
fi
# On an idle machine no package takes more than a few minutes.
flags=(-timeout 60m)
if ((!long)); then flags+=(-short); fi

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

# The tests that could not tell, see shared/timetest.
GREPD_TEST_SKIPPED_FILE=$(mktemp)
export GREPD_TEST_SKIPPED_FILE
trap 'rm -f "$GREPD_TEST_SKIPPED_FILE"' EXIT

# The tests of these run in one goroutine, where the race detector finds nothing and takes
# most of the time. With -long they have it all the same.
calm='/(membership|membership/ring|membership/wire|membership/membershiptest/explore|grepd/internal/(fields|linetime|match))$'
if ((long)); then calm='^$'; fi

packages=() calm_packages=()
while IFS= read -r package; do
  if [[ $package == */grepd/e2e ]]; then continue; fi
  if [[ $package =~ $calm ]]; then
    calm_packages+=("$package")
  else
    packages+=("$package")
  fi
done < <(go list ./...)

run go test ${race[@]+"${race[@]}"} "${flags[@]}" "$@" "${packages[@]}"
if ((${#calm_packages[@]})); then
  run go test "${flags[@]}" "$@" "${calm_packages[@]}"
fi
if ((long && ${#race[@]})); then
  run go test -race -count=1 "${flags[@]}" "$@" ./grepd/e2e
fi
# -v: the measured times are worth seeing also where all is well.
run go test -count=1 -v "${flags[@]}" "$@" ./grepd/e2e

if [[ -s $GREPD_TEST_SKIPPED_FILE ]]; then
  echo 'the machine was too busy for these tests to tell; run them again when it is not:'
  sed 's/^/  /' "$GREPD_TEST_SKIPPED_FILE"
fi
if ((failed)); then
  echo 'tests failed'
  exit 1
fi
echo 'all tests passed'
