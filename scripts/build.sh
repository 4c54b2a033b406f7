#!/usr/bin/env bash
# Builds the daemon, the client and the plugins, laid out as grepd expects them:
# DIR/grepd, DIR/dgrep, DIR/plugins/membership and so on. The binaries are static and carry
# the version that Go derives from the commit, where git is there. GOOS and GOARCH choose another platform.
#
# Usage: scripts/build.sh [DIR]     (default: bin)
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
mkdir -p "${1:-$root/bin}"
dir=$(cd "${1:-$root/bin}" && pwd)
cd "$root"

# build FILE PACKAGE moves the finished file into place, so that a plugin directory that
# is being watched never shows half a binary.
build() {
  # grpcnotrace leaves out golang.org/x/net/trace, which nobody looks at here, and the templates that it links.
  CGO_ENABLED=0 go build -tags grpcnotrace -buildvcs=auto -trimpath -ldflags '-s -w' -o "$1.new" "$2"
  mv "$1.new" "$1"
}

mkdir -p "$dir/plugins"
build "$dir/grepd" ./grepd/cmd/grepd
build "$dir/dgrep" ./grepd/cmd/dgrep
built='grepd, dgrep'
for plugin in plugins/*/; do
  build "$dir/${plugin%/}" "./$plugin"
  built+=", ${plugin%/}"
done
echo "built $built in $dir"
