package main

import (
	"bytes"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

func TestPipesOfAnAnswerAndOfAnInputAreWide(t *testing.T) {
	inReader, inWriter, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer inReader.Close()
	outReader, outWriter, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer outReader.Close()
	defer outWriter.Close()
	if _, err := unix.FcntlInt(inReader.Fd(), unix.F_SETPIPE_SZ, pipeBytes); err != nil {
		t.Skipf("no pipe may hold %d bytes here: %v", pipeBytes, err)
	}
	if _, err := unix.FcntlInt(inReader.Fd(), unix.F_SETPIPE_SZ, 64<<10); err != nil {
		t.Fatal(err)
	}
	if _, err := inWriter.WriteString("a\n"); err != nil {
		t.Fatal(err)
	}
	inWriter.Close()
	var stderr bytes.Buffer
	if status := run([]string{"a"}, inReader, outWriter, &stderr, noEnv); status != 0 {
		t.Fatalf("status %d: %s", status, &stderr)
	}
	for name, pipe := range map[string]*os.File{"input": inReader, "output": outReader} {
		size, err := unix.FcntlInt(pipe.Fd(), unix.F_GETPIPE_SZ, 0)
		if err != nil {
			t.Fatal(err)
		}
		if size != pipeBytes {
			t.Errorf("the pipe of the %s holds %d bytes, want %d", name, size, pipeBytes)
		}
	}
}
