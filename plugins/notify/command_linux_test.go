package main

import (
	"bufio"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// TestCommandEndsWithAPluginThatIsKilled, and so cannot end it. The command holds a pipe.
func TestCommandEndsWithAPluginThatIsKilled(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	held, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	holder, err := os.OpenFile(path, os.O_WRONLY, 0) // until the command has it open
	if err != nil {
		t.Fatal(err)
	}
	defer holder.Close()
	plugin := exec.Command(os.Args[0])
	plugin.Env = append(os.Environ(), commandMode+"="+script(t, "exec >"+path+"; echo begun; exec sleep 600"))
	if err := plugin.Start(); err != nil {
		t.Fatal(err)
	}
	defer plugin.Wait() // which says that it was killed
	defer plugin.Process.Kill()
	if err := held.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	words := bufio.NewReader(held)
	if line, err := words.ReadString('\n'); err != nil {
		t.Fatalf("the command says %q: %v", line, err)
	}
	holder.Close()
	if err := plugin.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if _, err := words.ReadByte(); !errors.Is(err, io.EOF) {
		t.Errorf("a minute after the plugin's end the command goes on: %v", err)
	}
}
