#!/usr/bin/env bash
# Builds the daemon, the client and the plugins, laid out as grepd expects them:
# DIR/grepd, DIR/dgrep, DIR/plugins/membership and so on. The binaries are static and say from
# which commit they are (shared/version). GOOS and GOARCH choose another platform.
#
# Usage: scripts/build.sh [DIR]     (default: bin)
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
mkdir -p "${1:-$root/bin}"
dir=$(cd "${1:-$root/bin}" && pwd)
cd "$root"

# Go notes the commit in a program by itself, but not in a worktree of git (Go 1.26), so it is
# handed to the linker, too. Without git the version is the release alone.
commit=
if [[ -e .git ]] && commit=$(git rev-parse --short=12 HEAD) && [[ -n $(git status --porcelain) ]]; then
  commit+=.dirty
fi
version_package=$(go list ./shared/version)

# build FILE PACKAGE moves the finished file into place, so that a plugin directory that
# is being watched never shows half a binary.
build() {
  # grpcnotrace leaves out golang.org/x/net/trace, which nobody looks at here, and the templates
  # that it links.
  CGO_ENABLED=0 go build -tags grpcnotrace -buildvcs=auto -trimpath \
    -ldflags "-s -w -X $version_package.commit=$commit" -o "$1.new" "$2"
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
