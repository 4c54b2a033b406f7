package eventlog

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// strangers are what others can put in the place of a file.
func strangers(target string) map[string]func(path string) error {
	link := func(to string) func(string) error { return func(path string) error { return os.Symlink(to, path) } }
	return map[string]func(string) error{
		"a link":             link(target),
		"a link to nothing":  link(target + ".nothing"),
		"a link to a device": link("/dev/zero"),
		"a named pipe":       func(path string) error { return unix.Mkfifo(path, 0o600) },
		"a directory":        func(path string) error { return os.Mkdir(path, 0o700) },
	}
}

// within fails a test whose work does not end.
func within(t *testing.T, work func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); work() }()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatal("it hangs")
	}
}

func TestNothingIsWrittenThroughWhatOthersPutInPlaceOfALog(t *testing.T) {
	for name, put := range strangers(filepath.Join(t.TempDir(), "target")) {
		t.Run(name, func(t *testing.T) {
			dir, target := t.TempDir(), filepath.Join(t.TempDir(), "target")
			if err := os.WriteFile(target, []byte("theirs\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			if name == "a link" {
				put = func(path string) error { return os.Symlink(target, path) }
			}
			path := filepath.Join(dir, GrepdLog)
			if err := put(path); err != nil {
				t.Fatal(err)
			}
			within(t, func() {
				l, err := Open(Config{Dir: dir, Name: GrepdLog})
				if err == nil {
					l.Close()
				}
				if err == nil || !strings.Contains(err.Error(), path) {
					t.Errorf("opened: %v, want an error that names %s", err, path)
				}
				if strings.HasPrefix(name, "a link") && !strings.HasSuffix(err.Error(), "it is a symbolic link, and none is followed to a log: remove it") ||
					name == "a named pipe" && !strings.HasSuffix(err.Error(), "it is not a regular file, and a log is nothing else: remove it") {
					t.Errorf("opened: %v, want what is wrong and what to do", err)
				}
				if _, err := openLogFile(path); err == nil {
					t.Error("it is read as a log")
				}
			})
			if content, err := os.ReadFile(target); err != nil || string(content) != "theirs\n" {
				t.Errorf("the link's target holds %q now, %v", content, err)
			}
		})
	}
}

// A log that is open while its name becomes a link is never renamed, or written anew, through that.
func TestALogWhoseNameBecomesALinkStaysWhereItIs(t *testing.T) {
	dir := t.TempDir()
	target := filepath.Join(t.TempDir(), "target")
	if err := os.WriteFile(target, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	l := openTest(t, Config{Dir: dir, Name: GrepdLog, BytesMax: 200})
	path := filepath.Join(dir, GrepdLog)
	if err := os.Rename(path, path+".old"); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		l.Write(slog.LevelInfo, Join, self, peer)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if content, err := os.ReadFile(target); err != nil || len(content) > 0 {
		t.Errorf("the link's target holds %q, %v", content, err)
	}
	if to, err := os.Readlink(path); err != nil || to != target {
		t.Errorf("the link leads to %s, %v", to, err)
	}
}

func TestAnArchiveIsNotWrittenThroughWhatOthersPutThere(t *testing.T) {
	for name, put := range strangers(filepath.Join(t.TempDir(), "target")) {
		t.Run(name, func(t *testing.T) {
			target := filepath.Join(t.TempDir(), "target")
			if err := os.WriteFile(target, []byte("theirs\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			if name == "a link" {
				put = func(path string) error { return os.Symlink(target, path) }
			}
			path := filepath.Join(t.TempDir(), "log")
			if err := os.WriteFile(path, []byte("ours\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			written := time.Unix(1_800_000_000, 0)
			if err := os.Chtimes(path, written, written); err != nil {
				t.Fatal(err)
			}
			if err := put(filepath.Join(filepath.Dir(path), ".log.gz")); err != nil {
				t.Fatal(err)
			}
			within(t, func() {
				if err := compress(context.Background(), path); err != nil {
					t.Error(err)
				}
			})
			if info, err := os.Lstat(path + gzipSuffix); err != nil || !info.Mode().IsRegular() || !info.ModTime().Equal(written) {
				t.Errorf("the archive is %v, %v; want a file of %v", info, err, written)
			}
			if content, err := os.ReadFile(target); err != nil || string(content) != "theirs\n" {
				t.Errorf("the link's target holds %q now, %v", content, err)
			}
		})
	}
}
