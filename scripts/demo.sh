#!/usr/bin/env bash
# The quick start: builds grepd, starts five daemons on 127.0.0.1:7117-7121, kills one of
# them the hard way, and greps what the others logged about it. Needs Go and nothing
# else, no key press, and less than 30 seconds after the build. Stops all that it
# started; exits 2 and names the port where one is taken.
#
# Usage: scripts/demo.sh
set -euo pipefail
# shellcheck source=scripts/cluster.sh
source "$(dirname "$0")/cluster.sh"

say() { printf '\n== %s\n' "$*"; }

# show prints a command as a person would type it, and runs it.
show() {
  printf '\n$ %s\n' "$1"
  shift
  "$@"
}

trap cluster_stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

say 'building, and starting five daemons on 127.0.0.1:7117-7121'
cluster_start 5 7117
export PATH=$cluster_bin:$PATH

say 'waiting until all five member lists agree'
cluster_await_agreement 5 0 0 1 2 3 4
show 'grepd members' grepd members

victim=2
plugin=$(cluster_plugin_pid $victim)
say "killing ${cluster_addrs[$victim]} as a power cut would: the daemon and its membership plugin"
show "kill -9 ${cluster_pids[$victim]} $plugin" kill -9 "${cluster_pids[$victim]}" "$plugin"

say 'waiting until the other four lists say so'
cluster_await_agreement 4 1 0 1 3 4
show "dgrep \"FAIL\" 'logs/*'" dgrep "FAIL" 'logs/*'
show 'grepd members' grepd members

say 'stopping everything'
cluster_stop
