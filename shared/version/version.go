// Package version says which version of grepd a program is: the release that the source is on
// the way to, and the commit that it was built from, as in 1.0.0-dev+eb67c3434cef.
//
// [Release] is the one place where the release is written. The commit comes from scripts/build.sh,
// or else from what Go itself notes in a program that is built in a clone, or installed by go
// install from a module proxy: so a plain go build says something right as well. A tree that was
// changed since the commit adds .dirty; a program built where there is no git, and a test, has the
// release alone.
//
// The text is a semantic version: https://semver.org. Which versions work together is written in
// ARCHITECTURE.md, and depends on none of these numbers.
//
// # Concurrency
//
// The functions may be called from any goroutine.
package version

import (
	"regexp"
	"runtime/debug"
)

// Release is the release that this source is, or with -dev the one that it becomes. To release:
// take -dev off, give CHANGELOG.md's "Unreleased" this number and the date, and tag the commit
// v<Release>; the next commit names the next release, with -dev.
const Release = "1.0.0-dev"

// commit is what scripts/build.sh hands to the linker, as eb67c3434cef or eb67c3434cef.dirty.
var commit string

// commitLen is how many digits of a commit are shown, as many as Go's pseudo-versions have.
const commitLen = 12

// String is the version of the running program.
func String() string {
	if commit != "" {
		return Release + "+" + commit
	}
	info, ok := debug.ReadBuildInfo()
	if !ok { // not built with modules
		return Release
	}
	return of(info)
}

// of is the version of a program that was built from this source with this information.
func of(info *debug.BuildInfo) string {
	revision, dirty := revisionOf(info)
	switch {
	case revision == "":
		return Release
	case dirty:
		return Release + "+" + revision + ".dirty"
	}
	return Release + "+" + revision
}

// pseudoVersion matches what Go calls a commit that has no tag, as
// v0.0.0-20261129154756-eb67c3434cef.
var pseudoVersion = regexp.MustCompile(`^v\d.*[-.]\d{14}-([0-9a-f]{12})(\+dirty)?$`)

// revisionOf gives the commit from what git said at the build, or else from the name under which
// go install has downloaded the module.
func revisionOf(info *debug.BuildInfo) (revision string, dirty bool) {
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			revision = s.Value[:min(commitLen, len(s.Value))]
		case "vcs.modified":
			dirty = s.Value == "true"
		}
	}
	if revision != "" {
		return revision, dirty
	}
	if m := pseudoVersion.FindStringSubmatch(info.Main.Version); m != nil {
		return m[1], m[2] != ""
	}
	return "", false
}
