package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/aksinghdce/cluster-membership-service/membership/membershiptest"
	"github.com/aksinghdce/cluster-membership-service/membership/udp"
	"github.com/aksinghdce/cluster-membership-service/plugins/membership/recorder"
	"github.com/aksinghdce/cluster-membership-service/shared/eventlog"
)

// corpus is a text to search.
type corpus struct {
	name  string
	path  string
	bytes int64
	// text says that contenders are told to take it as text, whatever its bytes.
	text bool
	// patterns are those of the classes, by name.
	patterns map[string]string
}

const mb = 1 << 20

// corpora makes the texts, or finds those of an earlier run.
func (b *bench) corpora() ([]corpus, error) {
	log := corpus{name: "event log", path: filepath.Join(b.options.dir, fmt.Sprintf("events-%d-%d.log", b.options.mb, b.options.seed)),
		patterns: eventPatterns}
	err := made(log.path, func(path string) error { return writeEvents(path, int64(b.options.mb)*mb, b.options.seed) })
	if err != nil {
		return nil, err
	}
	all := []corpus{log}
	if b.options.mixed != "" {
		mixed := corpus{name: "mixed logs", path: filepath.Join(b.options.dir, fmt.Sprintf("mixed-%d.log", b.options.mb)),
			patterns: mixedPatterns, text: true}
		err := made(mixed.path, func(path string) error { return repeatFiles(path, b.options.mixed, int64(b.options.mb)*mb) })
		if err != nil {
			return nil, err
		}
		all = append(all, mixed)
	}
	for i := range all {
		info, err := os.Stat(all[i].path)
		if err != nil {
			return nil, err
		}
		all[i].bytes = info.Size()
	}
	return all, nil
}

// made makes a file unless it is there already.
func made(path string, write func(path string) error) error {
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	part := path + ".part"
	if err := write(part); err != nil {
		return fmt.Errorf("make %s: %w", path, err)
	}
	return os.Rename(part, path)
}

// The simulated cluster, and when what happens in it.
const (
	members    = 1000
	eventCycle = 300 * time.Second
	crashAt    = 5 * time.Second
	restartAt  = 15 * time.Second
	leaveAt    = 25 * time.Second
	startAt    = 40 * time.Second
	eventStep  = 5 * time.Second
)

// writeEvents writes at least size bytes of what the members of a simulated group log, as
// one would find them gathered in one file: each message that one of them sends or
// receives, and what each notices of a crash, a return and a leave in five minutes.
func writeEvents(path string, size int64, seed uint64) error {
	var sim *membershiptest.Sim
	start := time.Date(2026, 11, 22, 6, 0, 0, 0, time.UTC)
	log, err := eventlog.Open(eventlog.Config{
		Dir: filepath.Dir(path), Name: filepath.Base(path), BytesMax: 2 * size,
		Now: func() time.Time { return start.Add(sim.Now()) },
	})
	if err != nil {
		return err
	}
	r := recorder.New(log, func(udp.View) {})
	sim = membershiptest.New(membershiptest.Options{Seed: seed, Observer: r})
	sim.Form(members)
	for i := 0; ; i++ {
		info, err := os.Stat(path)
		if err != nil || info.Size() >= size {
			return errorsOf(err, log)
		}
		happen(sim, i+1, time.Duration(i)*eventStep%eventCycle)
		r.Changed(udp.View{Rows: sim.Node(0).Members()})
		sim.Run(eventStep)
	}
}

// happen does to the group what is due. Each victim is another one.
func happen(sim *membershiptest.Sim, i int, at time.Duration) {
	victim := 2 + i*17%(members-2)
	switch at {
	case crashAt:
		sim.Crash(victim)
	case restartAt:
		sim.Restart(victim - 2*17)
	case leaveAt:
		sim.Leave(victim)
	case startAt:
		sim.Start(1)
	}
}

// errorsOf closes a log, of which no line may have been lost.
func errorsOf(err error, log *eventlog.Log) error {
	if closeErr := log.Close(); err == nil {
		err = closeErr
	}
	if n := log.Dropped(); err == nil && n > 0 {
		err = fmt.Errorf("%d lines could not be written", n)
	}
	return err
}

// repeatFiles writes the files of a directory one after the other, again and again, up to size bytes.
func repeatFiles(path, dir string, size int64) error {
	texts, err := fs.Glob(os.DirFS(dir), "*.log")
	if err != nil {
		return err
	}
	if len(texts) == 0 {
		return fmt.Errorf("%s has no *.log", dir)
	}
	out, err := os.Create(path)
	if err != nil {
		return err
	}
	defer out.Close()
	var all []byte
	for _, name := range texts {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		if all = append(all, text...); all[len(all)-1] != '\n' {
			all = append(all, '\n')
		}
	}
	for n := int64(0); n < size; n += int64(len(all)) {
		if _, err := out.Write(all); err != nil {
			return err
		}
	}
	return out.Close()
}
