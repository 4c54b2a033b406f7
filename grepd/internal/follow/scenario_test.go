package follow_test

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/client"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/files"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/files/filestest"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/follow"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/search"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/greppb"
)

// TestFollowScenarios plays the scripts of testdata, which its README explains.
func TestFollowScenarios(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		if filepath.Ext(path) != ".txt" {
			return
		}
		s := newScenario(t)
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			s.t = t
			return s.play(d)
		})
	})
}

// scenario is a directory of logs on one node, a follow of it, the daemon that passes its lines on,
// and a dgrep that prints them. The daemon and dgrep keep places with the code that they keep them
// with in earnest.
type scenario struct {
	t      *testing.T
	dir    string
	mounts *files.Mounts
	paths  []string
	member *follow.Stepper // nil: it is down
	clock  time.Time
	heard  time.Time // of the member
	asked  *client.Places
	dgrep  *client.Places
	names  map[uint32]string
	stops  []string // what happens while the reader is stopped at the next line; nil: it is not

	news    []string // since they were shown
	numbers map[string]int
	written map[string]int // lines, by their text
	printed map[string]int
	gaps    int
}

func newScenario(t *testing.T) *scenario {
	s := &scenario{
		t: t, clock: time.Now(), numbers: map[string]int{}, names: map[uint32]string{},
		written: map[string]int{}, printed: map[string]int{},
	}
	s.mounts, s.dir = filestest.Tree(t, nil)
	t.Cleanup(func() { s.down() })
	return s
}

// play does what one directive says, and gives what dgrep prints.
func (s *scenario) play(d *datadriven.TestData) string {
	input := strings.Split(strings.TrimSpace(d.Input), "\n")
	switch d.Cmd {
	case "change":
		s.changeAll(input)
		return ""
	case "follow":
		s.paths = strings.Fields(d.Input)
		s.up()
	case "look":
		s.changeAll(input)
	case "stop-reader":
		s.stops = input
		s.change("write a 1")
		s.look() // and once more, at what has come meanwhile
	case "wait":
		s.wait(d.CmdArgs[0].Key)
		return s.show()
	case "down":
		s.down()
		return ""
	case "upgrade":
		s.upgrade(d.CmdArgs[0].Key)
	case "end":
		return s.sum()
	default:
		d.Fatalf(s.t, "unknown directive")
	}
	s.look()
	return s.show()
}

// upgrade has daemons replaced by others, which go on where they were.
func (s *scenario) upgrade(who string) {
	if who != "member" { // dgrep asks another daemon, which knows only what dgrep tells it
		known := s.dgrep.List()
		s.asked = &client.Places{}
		s.asked.Set(known, 0)
		s.dgrep.Restart()
	}
	s.down()
	s.up()
}

func (s *scenario) wait(text string) {
	d, err := time.ParseDuration(text)
	s.must(err)
	for end := s.clock.Add(d); s.clock.Before(end); {
		s.clock = s.clock.Add(time.Second)
		if s.member != nil {
			s.member.Wait(time.Second)
			s.look()
		}
	}
}

func (s *scenario) up() {
	fo := follow.Options{}
	if s.asked != nil {
		s.asked.Restart()
		fo.Resume, fo.Away = true, s.clock.Sub(s.heard)
		for _, p := range s.asked.List() {
			fo.From = append(fo.From, placeFromWire(p))
		}
	} else {
		s.asked, s.dgrep = &client.Places{}, &client.Places{}
	}
	var err error
	s.member, err = follow.NewStepper(context.Background(), s.mounts, s.paths, options(s.t, "[0-9]"), fo,
		(*scenarioSink)(s), s.clock)
	s.must(err)
}

func (s *scenario) down() {
	if s.member != nil {
		s.member.Close()
		s.member = nil
	}
}

func (s *scenario) look() {
	if s.member == nil {
		return
	}
	s.must(s.member.Pass(true))
	s.heard = s.clock
	if len(s.stops) > 0 {
		s.t.Fatal("no line came at which the reader could stop")
	}
}

// show gives what has come, the lines of each file together: between files there is no order.
func (s *scenario) show() string {
	slices.SortStableFunc(s.news, func(a, b string) int {
		fileA, _, _ := strings.Cut(a, ": ")
		fileB, _, _ := strings.Cut(b, ": ")
		return cmp.Compare(fileA, fileB)
	})
	var out strings.Builder
	for i := 0; i < len(s.news); {
		file, text, _ := strings.Cut(s.news[i], ": ")
		n := 1
		for i+n < len(s.news) && strings.HasPrefix(s.news[i+n], file+": ") {
			n++
		}
		if n > 12 {
			_, last, _ := strings.Cut(s.news[i+n-1], ": ")
			text = fmt.Sprintf("%s ... %s (%d lines)", text, last, n)
		} else {
			n = 1
		}
		fmt.Fprintf(&out, "%s: %s\n", file, text)
		i += n
	}
	s.news = nil
	return out.String()
}

// sum counts the lines: each is to be printed once.
func (s *scenario) sum() string {
	written, lost, doubled := 0, 0, 0
	for text, n := range s.written {
		written += n
		lost += max(0, n-s.printed[text])
		doubled += max(0, s.printed[text]-n)
	}
	return fmt.Sprintf("%d lines written after the follow began, %d lost, %d doubled, %d gaps", written, lost, doubled, s.gaps)
}

func (s *scenario) changeAll(lines []string) {
	for _, line := range lines {
		if line != "" {
			s.change(line)
		}
	}
}

// change does to the logs what one line says.
func (s *scenario) change(line string) {
	words := strings.Fields(line)
	path := func(i int) string { return filepath.Join(s.dir, words[i]) }
	switch words[0] {
	case "write":
		s.write(words[1], words[2])
	case "append": // text that is no line
		s.append(words[1], words[2])
	case "rename":
		s.must(os.Rename(path(1), path(2)))
	case "copy":
		content, err := os.ReadFile(path(1))
		s.must(err)
		s.must(os.WriteFile(path(2), content, 0o600))
		s.must(os.Chtimes(path(2), time.Time{}, s.clock))
	case "truncate":
		s.must(os.Truncate(path(1), 0))
	case "remove":
		s.must(os.Remove(path(1)))
	case "gzip":
		s.gzip(words[1], 0, 1)
	case "gzip-half": // of what it will be, as gzip leaves it while it is at work
		s.gzip(words[1], 0, 0.5)
	case "gzip-rest":
		s.gzip(words[1], 0.5, 1)
	case "touch":
		s.must(os.Chtimes(path(1), time.Time{}, s.clock))
	case "look-for-names": // which the follow does while its reader is stopped
		s.member.Look()
	default:
		s.t.Fatalf("unknown change %q", line)
	}
}

// write appends numbered lines to a log. Each is written once among all logs.
func (s *scenario) write(name, count string) {
	n, err := strconv.Atoi(count)
	s.must(err)
	var text strings.Builder
	for range n {
		log, _, _ := strings.Cut(name, ".")
		s.numbers[log]++
		line := fmt.Sprint(log, s.numbers[log])
		if s.member != nil || s.asked != nil {
			s.written[line]++
		}
		text.WriteString(line + "\n")
	}
	s.append(name, text.String())
}

func (s *scenario) append(name, text string) {
	path := filepath.Join(s.dir, name)
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	s.must(err)
	_, err = file.WriteString(text)
	s.must(errors.Join(err, file.Close(), os.Chtimes(path, time.Time{}, s.clock)))
}

// gzip writes a part of what a log is compressed to. With the last one it sets the time, and
// removes the log.
func (s *scenario) gzip(name string, from, to float64) {
	path := filepath.Join(s.dir, name)
	content, err := os.ReadFile(path)
	s.must(err)
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	_, err = w.Write(content)
	s.must(errors.Join(err, w.Close()))
	part := packed.Bytes()[int(from*float64(packed.Len())):int(to*float64(packed.Len()))]
	s.append(name+".gz", string(part))
	if to == 1 {
		info, err := os.Stat(path)
		s.must(err)
		s.must(errors.Join(os.Chtimes(path+".gz", time.Time{}, info.ModTime()), os.Remove(path)))
	}
}

func (s *scenario) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// scenarioSink is the way of what the member finds through the daemon to dgrep.
type scenarioSink scenario

var _ follow.Sink = (*scenarioSink)(nil)

func (s *scenarioSink) Begin(file uint32, path string, _ int64) error {
	s.names[file] = path
	return nil
}

func (s *scenarioSink) Chunk(file uint32, c *search.Chunk) error {
	if stops := s.stops; stops != nil {
		s.stops = nil
		(*scenario)(s).changeAll(stops)
	}
	for line := range strings.Lines(string(c.Data)) {
		line = strings.TrimSuffix(line, "\n")
		s.printed[line]++
		s.news = append(s.news, s.names[file]+": "+line)
	}
	chunk := &greppb.Chunk{File: file, Lengths: c.Lengths}
	s.pass(&greppb.SearchReply{Step: &greppb.SearchReply_Chunk{Chunk: chunk}})
	return nil
}

func (s *scenarioSink) End(uint32, search.FileStats) error { return nil }

func (s *scenarioSink) Error(e files.FileError) error {
	kind := "error"
	switch {
	case e.Gap:
		kind = "gap"
		s.gaps++
	case e.Warning:
		kind = "warning"
	}
	s.news = append(s.news, fmt.Sprintf("%s: %s: %s", kind, e.Path, e.Message))
	return nil
}

func (s *scenarioSink) Places(places []follow.Place, caughtUp bool) error {
	step := &greppb.Places{CaughtUp: caughtUp}
	for _, p := range places {
		step.Places = append(step.Places, placeToWire(p))
	}
	s.pass(&greppb.SearchReply{Step: &greppb.SearchReply_Places{Places: step}})
	return nil
}

// pass hands a step on, as the daemon that was asked does.
func (s *scenarioSink) pass(reply *greppb.SearchReply) {
	reply = s.asked.Replacing(reply)
	s.dgrep.Observe(reply)
	s.asked.Observe(reply)
}

func placeToWire(p follow.Place) greppb.Place {
	return greppb.Place{
		File: p.File, Path: p.Path, Device: p.Device, Inode: p.Inode, Offset: p.Offset, Skip: p.Skip, Line: p.Line,
		History: p.History, Inside: p.Inside, Shown: p.Shown, Pending: p.Pending,
		Head: greppb.Print(p.Head), Tail: greppb.Print(p.Tail), Lost: p.Lost, Unread: p.Unread, Ended: p.Ended,
	}
}

func placeFromWire(p greppb.Place) follow.Place {
	return follow.Place{
		Path: p.Path, Device: p.Device, Inode: p.Inode, Offset: p.Offset, Skip: p.Skip, Line: p.Line,
		History: p.History, Inside: p.Inside, Shown: p.Shown, Pending: p.Pending,
		Head: follow.Print(p.Head), Tail: follow.Print(p.Tail), Lost: p.Lost, Unread: p.Unread,
	}
}
