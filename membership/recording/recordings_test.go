package recording

import (
	"bytes"
	"encoding/base64"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "write the transcripts in testdata anew")

// TestRecordings replays the recordings of live members in testdata, each a NAME.base64 with what
// grepd record has written, and compares what the core does with the transcript NAME.txt. To make
// a test of a recording:
//
//	base64 FILE >membership/recording/testdata/NAME.base64
//	go test ./membership/recording -run TestRecordings -rewrite
//
// A change of the protocol changes what the core does. Then the second line again, and a look at
// the difference: the transcript also shows the first step at which the core does not do what the
// live member did.
func TestRecordings(t *testing.T) {
	files, err := filepath.Glob("testdata/*.base64")
	if err != nil || len(files) == 0 {
		t.Fatalf("no recordings: %v", err)
	}
	for _, path := range files {
		name := strings.TrimSuffix(path, ".base64")
		t.Run(filepath.Base(name), func(t *testing.T) {
			text, err := os.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer text.Close()
			var transcript bytes.Buffer
			if _, err := Replay(base64.NewDecoder(base64.StdEncoding, text), &transcript); err != nil {
				t.Fatal(err)
			}
			compare(t, name+".txt", transcript.Bytes())
		})
	}
}

// compare compares with a golden file, line by line.
func compare(t *testing.T, path string, got []byte) {
	if *rewrite {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v; -rewrite makes it", err)
	}
	gotLines, wantLines := strings.Split(string(got), "\n"), strings.Split(string(want), "\n")
	for i := range max(len(gotLines), len(wantLines)) {
		if i == len(gotLines) || i == len(wantLines) || gotLines[i] != wantLines[i] {
			t.Fatalf("line %d of %s is not what the core does now, and what follows may not be, either; "+
				"if that is meant, -rewrite writes it anew\nwant %s\ngot  %s",
				i+1, path, lineOf(wantLines, i), lineOf(gotLines, i))
		}
	}
}

func lineOf(lines []string, i int) string {
	if i < len(lines) {
		return lines[i]
	}
	return "the end"
}
