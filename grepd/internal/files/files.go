// Package files finds, opens and decompresses the files that may be searched.
//
// [OpenMounts] opens the directories that hold them. [Mounts.Walk] opens the files that paths name
// there, one after the other, and [Mounts.Complete] lists the paths that begin with some text. No
// path leads outside the mounts.
//
//	mounts, err := files.OpenMounts([]string{"logs=/var/log/grepd"})
//	var progress files.Progress
//	err = mounts.Walk(ctx, []string{"logs/*"}, files.Selection{}, &progress, files.Visitor{
//		File: func(f *os.File, path string, size int64) error { ... },
//		Fail: func(e files.FileError) error { ... },
//	})
//
// What the lines of a file say is for package search, which builds on this one, and what becomes of
// a file later is for package follow: this package knows neither.
//
// # Files of the package
//
// mounts.go has the mounts, mountpoint.go what becomes of one whose directory is replaced. paths.go
// walks; glob.go expands the globs of paths, globlist.go has --include and --exclude. listing.go
// knows which compressed files double others, and expander.go expands them. complete.go completes a
// path in the shell. dir.go is for package follow, which looks beside files. mark_linux.go gives
// files the numbers by which two nodes notice that they have the same one.
//
// # Walks
//
// Only regular files are opened for a [Visitor]. They come in the order of the paths, those of a
// glob or directory sorted by name. What is wrong with a path is a [FileError], worded as grep
// words it, and does not end the walk. Globs and links that lead to too much have limits, see the
// constants.
//
// # Compressed files
//
// A file is compressed if its name ends in .gz or .zst and it begins as such files do
// ([CompressionOf]). An [Expander] reads what it expands to, all members or frames of it.
//
// Programs that rotate logs compress x to x.gz and remove x then. So that nothing is found twice
// meanwhile, or after a crash, a walk passes over x.gz where the same glob or directory has x too
// and x.gz says that it expands to what has the size of x; and where x is gone when it is to be
// opened, x.gz is opened in its place.
//
// # Concurrency
//
// Mounts, a GlobList and a Progress may be used by any number of goroutines at once. An Expander
// serves one. A Visitor is called by the goroutine that called Walk, and by no other.
package files
