#!/usr/bin/env bash
# Tries docker-compose.yml on a real engine: ten containers find each other, one of them
# is killed, and dgrep shows what the nine others logged about it. Takes everything down
# again, also on failure. Where no engine answers it says so and exits 0.
#
# Usage: scripts/test-docker.sh
set -euo pipefail
cd "$(dirname "$0")/.."

await_max=60 # seconds; ten containers on two busy cores
victim=node7
victim_addr=10.117.0.17:7117
survivors=(node1 node2 node3 node4 node5 node6 node8 node9 node10)

skip() {
  echo "skip: $*"
  exit 0
}

command -v docker >/dev/null || skip 'Docker is not installed'
docker info >/dev/null 2>&1 || skip 'no Docker engine answers'
if docker compose version >/dev/null 2>&1; then
  compose=(docker compose)
elif command -v docker-compose >/dev/null; then
  compose=(docker-compose)
else
  skip 'neither "docker compose" nor docker-compose is installed'
fi

# Names of its own, so that a cluster that a person runs is left alone.
export COMPOSE_PROJECT_NAME=grepd-test GREPD_IMAGE=grepd-test

take_down() {
  local status=$?
  if ((status)); then
    "${compose[@]}" logs --no-color --tail=20 >&2 || true
  fi
  "${compose[@]}" down --volumes --timeout 5 >/dev/null 2>&1 ||
    echo "test-docker.sh: could not take the containers of $COMPOSE_PROJECT_NAME down" >&2
  docker image rm --force "$GREPD_IMAGE" >/dev/null 2>&1 || true # it may not have been built
}
trap take_down EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# await WHAT COMMAND... repeats the command until it succeeds.
await() {
  local what=$1 began=$SECONDS
  shift
  until "$@"; do
    if ((SECONDS - began > await_max)); then
      echo "test-docker.sh: not within $await_max s: $what" >&2
      return 1
    fi
    sleep 0.5
  done
  echo "ok    $what ($((SECONDS - began)) s)"
}

on() {
  local node=$1
  shift
  "${compose[@]}" exec -T "$node" "$@" </dev/null 2>/dev/null
}

# lists_ten_alive NODE succeeds where the node's list has ten members, all alive.
lists_ten_alive() {
  [[ $(on "$1" grepd members --json | tr -d ' \n' | grep -o '"state":"alive"' | wc -l) -eq 10 ]]
}

# all_have_logged_it succeeds where a query that covers all members finds the failure in
# the log of every survivor.
all_have_logged_it() {
  local found
  found=$(on node3 dgrep FAIL 'logs/*' | grep -c "\"peer\":\"$victim_addr@") || return 1
  [[ $found -eq ${#survivors[@]} ]]
}

GOOS=linux scripts/build.sh bin/linux
if ! output=$("${compose[@]}" up --build --detach 2>&1); then
  echo "$output" >&2
  exit 1
fi
for node in "${survivors[@]}" "$victim"; do
  await "$node lists ten members alive" lists_ten_alive "$node"
done
docker kill --signal KILL "$("${compose[@]}" ps --quiet "$victim")" >/dev/null
await "dgrep shows the FAIL of $victim as ${#survivors[@]} nodes logged it" all_have_logged_it
on node3 dgrep FAIL 'logs/*'
echo 'the cluster of containers works'
