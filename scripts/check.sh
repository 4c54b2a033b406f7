#!/usr/bin/env bash
# Checks what can be known of the code without running the product: format, suspicious
# constructs, the house rules, among which are the types on other platforms, generated code,
# module files, scripts.
# Runs every check, says for each that fails what to do, and exits 1 if one did.
# Changes nothing in the work tree.
#
# Usage: scripts/check.sh
set -euo pipefail
cd "$(dirname "$0")/.."

output_lines_max=60 # of a failed check
failed=()

# check NAME ADVICE COMMAND... runs the command and keeps quiet about it if it succeeds.
check() {
  local name=$1 advice=$2 output began=$SECONDS
  shift 2
  if output=$("$@" 2>&1); then
    printf 'ok    %-28s %3ds\n' "$name" $((SECONDS - began))
    return
  fi
  printf 'FAIL  %-28s %3ds\n' "$name" $((SECONDS - began))
  printf '%s\n' "$output" | sed -n "1,${output_lines_max}s/^/      /p"
  printf '      what to do: %s\n' "$advice"
  failed+=("$name")
}

# work_tree_files lists what is or may be committed, and exists.
work_tree_files() {
  local file
  git ls-files --cached --others --exclude-standard "$@" | sort -u | while IFS= read -r file; do
    if [[ -e $file ]]; then printf '%s\n' "$file"; fi
  done
}

formatted() {
  local unformatted
  unformatted=$(work_tree_files '*.go' | xargs gofmt -l -s)
  [[ -z $unformatted ]] || { echo "$unformatted"; return 1; }
}

# generated runs the generator in a copy of the work tree and compares.
generated() {
  local copy
  copy=$(mktemp -d)
  # shellcheck disable=SC2064 # the directory as it is now
  trap "rm -rf '$copy'" EXIT
  work_tree_files | tar -c -T - | tar -x -C "$copy"
  cp -R "$copy/shared/proto" "$copy/before"
  (cd "$copy" && scripts/generate.sh)
  diff -r "$copy/before" "$copy/shared/proto"
}

# nested_modules checks the modules of their own below this one, which ./... leaves out.
nested_modules() {
  local module
  for module in $(work_tree_files '*/go.mod'); do
    (cd "${module%/go.mod}" && go vet ./... && go mod tidy -diff) || return 1
  done
}

shell_scripts() {
  work_tree_files | while IFS= read -r file; do
    case $(head -n 1 "$file" 2>/dev/null | tr -d '\0') in '#!'*sh) echo "$file" ;; esac
  done
}

shellchecked() { shell_scripts | xargs shellcheck; }

check 'gofmt' 'gofmt -s -w on these files' formatted
check 'go vet' 'mend what it reports' go vet ./...
check 'staticcheck' 'mend what it reports; go tool staticcheck -explain CODE says why' go tool staticcheck ./...
check 'house rules' 'each message names the line, the reason and the way out' go test -count=1 ./scripts/houserules
check 'generated code' 'scripts/generate.sh, and commit what it changes' generated
check 'go mod tidy' 'go mod tidy, and commit go.mod and go.sum' go mod tidy -diff
check 'nested modules' 'mend what go vet reports; go mod tidy in the module' nested_modules
if command -v shellcheck >/dev/null; then
  check 'shellcheck' 'mend what it reports; https://www.shellcheck.net/wiki has a page for each code' shellchecked
else
  echo 'skip  shellcheck                    it is not installed (Debian: apt-get install shellcheck)'
fi

if ((${#failed[@]})); then
  echo "checks failed: ${failed[*]}"
  exit 1
fi
echo 'all checks passed'
