package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// script makes a program of shell commands.
func script(t *testing.T, commands string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+commands+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestCommandGetsEventsAsDataOnly(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("SECRET", "of the plugin")
	evil := `{"time":"T","event":"WAITING","node":"$(touch ` + dir + `/evil)","detail":"` + "`touch " + dir + "/evil`" + `"}`
	e, ok := parse([]byte(evil))
	if !ok {
		t.Fatal(evil)
	}
	c := &command{
		argv:        []string{script(t, `{ echo "$#|$1|$2|$SECRET|$GREPD_SELF|$GREPD_EVENT|$GREPD_NODE|$GREPD_PEER|$GREPD_COUNT|$GREPD_TIME|$GREPD_KEY"; cat; } >`+dir+`/out`), "two words", "*"},
		environment: []string{"PATH=" + os.Getenv("PATH")}, timeout: time.Minute,
	}
	events := []event{e, fail(1, 2), fail(1, 3)}
	if out := c.deliver(context.Background(), "me@1", events); out.err != nil {
		t.Fatal(out.err)
	}
	got, err := os.ReadFile(filepath.Join(dir, "out"))
	if err != nil {
		t.Fatal(err)
	}
	want := "2|two words|*||me@1|WAITING FAIL|" + e.Node + " " + memberID(1) + "|" + memberID(2) + " " + memberID(3) + "|3|T|" + batchKey(events) +
		"\n" + string(payload(events))
	if string(got) != want {
		t.Errorf("the command sees\n%s\nwant\n%s", got, want)
	}
	if _, err := os.Stat(filepath.Join(dir, "evil")); err == nil {
		t.Error("a shell has read the event")
	}
}

func TestCommandThatFailsIsLoggedAndNotRepeated(t *testing.T) {
	c := &command{argv: []string{script(t, `echo no mood; echo to page >&2; exit 3`)}, timeout: time.Minute}
	out := c.deliver(context.Background(), "me@1", []event{fail(1, 2)})
	if out.retry || out.err == nil || !strings.Contains(out.err.Error(), "exit status 3; it wrote: no mood\nto page") {
		t.Errorf("outcome %+v", out)
	}
	c.argv[0] = filepath.Join(t.TempDir(), "missing")
	if out := c.deliver(context.Background(), "me@1", []event{fail(1, 2)}); out.retry || out.err == nil || !strings.Contains(out.err.Error(), "no such file") {
		t.Errorf("without a program: %+v", out)
	}
	c.argv[0] = script(t, `head -c 1000000 /dev/zero | tr '\0' x; exit 1`)
	c.environment = []string{"PATH=" + os.Getenv("PATH")}
	if out := c.deliver(context.Background(), "me@1", []event{fail(1, 2)}); out.err == nil || strings.Count(out.err.Error(), "x") > outputBytesMax+100 {
		t.Errorf("of a long output is logged: %v", out.err)
	}
}

// TestCommandThatHangsIsKilled with what it has started, when its time is over and when
// the service is stopped.
func TestCommandThatHangsIsKilled(t *testing.T) {
	for _, test := range []struct {
		name, want string
		timeout    time.Duration
	}{{"its time is over", "it did not end within 1ms", time.Millisecond}, {"the service is stopped", "signal: killed", time.Hour}} {
		c := &command{argv: []string{script(t, "sleep 1000 & sleep 1000")}, environment: []string{"PATH=" + os.Getenv("PATH")}, timeout: test.timeout}
		ctx, cancel := context.WithCancel(context.Background())
		if test.timeout == time.Hour {
			time.AfterFunc(50*time.Millisecond, cancel)
		}
		began := time.Now()
		out := c.deliver(ctx, "me@1", []event{fail(1, 2)})
		cancel()
		// With a child that held its output it would take pipesTimeout longer.
		if out.err == nil || !strings.Contains(out.err.Error(), test.want) || time.Since(began) > 30*time.Second {
			t.Errorf("%s: %v after %v", test.name, out.err, time.Since(began))
		}
	}
}
