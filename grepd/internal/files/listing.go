package files

import (
	"io"
	"os"
)

// listing is the names that one glob or directory has, each with the size that its file had when it
// was opened. A walk keeps it so as not to search a log and its compressed copy both; nil knows of
// no other name.
type listing map[string]int64

// notOpened is the size of a file that was not, or not yet, opened.
const notOpened = -1

func newListing(names []string) listing {
	l := make(listing, len(names))
	for _, name := range names {
		l[name] = notOpened
	}
	return l
}

// doubled reports whether a file is a compressed one of which the listing has the original too,
// which was opened before it: names are visited in order. It takes note of the file's size.
func (l listing) doubled(f io.ReaderAt, name string, size int64) bool {
	if l == nil {
		return false
	}
	l[name] = size
	plain, _ := withoutSuffix(name)
	original, listed := l[plain]
	if plain == name || !listed || original == notOpened {
		return false
	}
	expands, modulus := ExpandedSize(f, size, CompressionOf(f, name))
	return expands == original%modulus
}

// successor gives the name of the compressed file that has come into the place of one that was
// listed; listed says that it was listed itself, so that it is searched anyway.
func (l listing) successor(root *os.Root, name string) (compressed string, listed bool) {
	if _, listed := l[name]; !listed {
		return "", false
	}
	for _, c := range []Compression{Gzip, Zstandard} {
		compressed := name + suffixes[c]
		if _, listed := l[compressed]; listed {
			return compressed, true
		}
		if info, err := root.Stat(compressed); err == nil && info.Mode().IsRegular() {
			return compressed, false
		}
	}
	return "", false
}
