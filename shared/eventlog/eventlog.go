// Package eventlog writes and reads the structured event log: what every machine of the
// cluster saw, as one JSON object a line, so that a distributed grep can ask for it.
//
//	log, err := eventlog.Open(eventlog.Config{Dir: "logs", Name: eventlog.MembershipLog})
//	log.Write(slog.LevelWarn, eventlog.Fail, self, peer, slog.Int64(eventlog.KeySilentMS, 1873))
//
// gives
//
//	{"time":"2026-11-22T06:40:00.123456789Z","level":"WARN","event":"FAIL","node":"10.0.0.3:7117@17","peer":"10.0.0.5:7117@16","silent_ms":1873}
//
// The first keys are always time, level, event, node and peer, in this order; peer is
// absent where a line is about no other member. The time is UTC with nine digits, so
// lines sort as text, and Time finds it without parsing JSON.
//
// # Files
//
// A line is one write(2) with O_APPEND, so lines of several processes do not mix. A file that has
// grown to Config.BytesMax is renamed to "<name>.<UTC time>", and after the next rotation that
// becomes "<name>.<UTC time>.gz"; the newest stays plain for those who follow it. All of them match
// "<name>*". A writer holds a shared lock on its file, and what is locked is not compressed, so a
// line that a process writes before it has seen another's rotation is not lost. A file that was
// removed, alone or with its directory, is made again within a second of the next line; the lines
// between are counted as dropped. Where the directory has become a symbolic link nothing is written
// any more, and each line is dropped. A link in the place of a file is not followed either, and
// only regular files are opened: the daemon may be root, and the directory somebody else's.
//
// A Follower reads what is written, across all this, and can say where it is.
//
// The well-known rotating writer, lumberjack, does not fit here: after its first rotation
// it writes without O_APPEND, it truncates what another process has opened meanwhile
// (the old and the new plugin share the log during a reload), and its goroutine
// outlives Close.
//
// # Concurrency
//
// Any goroutine may use a Log, one at a time a Follower. Compression runs in a goroutine of the
// Log's own; Close interrupts it and waits for it.
package eventlog

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"
)

// The files of a log directory.
const (
	MembershipLog = "membership.log" // the membership plugin's
	GrepdLog      = "grepd.log"      // the host's
	NotifyLog     = "notify.log"     // the notify plugin's
)

// Event is the kind of a line.
type Event string

// The events. Those of messages come with KeyDir and KeyKind.
const (
	Heartbeat  Event = "HEARTBEAT"  // a heartbeat was sent or received
	Probe      Event = "PROBE"      // a probe or the answer to one was sent or received
	Message    Event = "MESSAGE"    // any other message was sent or received
	Join       Event = "JOIN"       // peer is in this list now
	Leave      Event = "LEAVE"      // peer left, says this list now
	Fail       Event = "FAIL"       // peer failed, says this list now
	Suspect    Event = "SUSPECT"    // this monitor doubts peer
	Trust      Event = "TRUST"      // ... and no longer
	Rejoin     Event = "REJOIN"     // this node goes on under a new incarnation
	Gateway    Event = "GATEWAY"    // peer leads the gateways now
	Waiting    Event = "WAITING"    // this node cannot join yet, or waits before it rejoins
	Gray       Event = "GRAY"       // this node, peer, hears too little to judge others; or well again
	Conflict   Event = "CONFLICT"   // another machine has this node's address too, as peer
	Gateways   Event = "GATEWAYS"   // the gateways' names stand for other addresses now, or for none
	Plugin     Event = "PLUGIN"     // a plugin was started, reloaded, ended
	Membership Event = "MEMBERSHIP" // the mode of the membership service changed
	Notify     Event = "NOTIFY"     // a notification was sent, or not
	Upgrade    Event = "UPGRADE"    // this daemon is replaced by a new one, or was to be
	Mount      Event = "MOUNT"      // a mount cannot be searched any more, or was opened again
	Dropped    Event = "DROPPED"    // packets were dropped unheard, since the last such line
	LogLost    Event = "LOG_LOST"   // lines of this log were lost, since it was removed
)

// The keys that every line begins with, in this order.
const (
	KeyTime  = slog.TimeKey
	KeyLevel = slog.LevelKey
	KeyEvent = "event"
	KeyNode  = "node" // the writer's id
	KeyPeer  = "peer" // the member that the line is about
)

// The keys that follow, where they apply.
const (
	KeyDir      = "dir"       // Sent or Received
	KeyKind     = "kind"      // of a message
	KeySeq      = "seq"       // of a message
	KeyTarget   = "target"    // of a message: the member that it asks or tells about
	KeyEntries  = "entries"   // of a message: how many rows of a list it holds
	KeyVia      = "via"       // how a change was learnt: ViaSelf and so on
	KeySilentMS = "silent_ms" // since the freshest send stamp
	KeyProbes   = "probes"    // sent in the doubt that ended so
	KeyAnswers  = "answers"   // of co-monitors that had nothing newer; Gray: to so many questions
	KeyPrevious = "previous"  // the id given up
	// KeyGray says whether Gray begins or ends, and KeyQuestions how many were asked lately.
	KeyGray, KeyQuestions = "gray", "questions"
	KeyDetail             = "detail" // in words, for people
	KeyError              = "error"  // in words, for people

	KeyMode   = "mode"   // Membership: joining, live, stale, left
	KeyPlugin = "plugin" // Plugin: which one
	// KeyAction is what happened. Plugin: start, reload, refuse, exit, restart, rollback, stop;
	// Plugin and Upgrade: hand over, take over; Notify: sent, retry, drop.
	KeyAction   = "action"
	KeyVersion  = "version"  // of a program
	KeyChecksum = "checksum" // of a program, SHA-256 in hex
	// KeyBadChecksum is of a program that was rolled back.
	KeyBadChecksum = "bad_checksum"
	KeyPID         = "pid"    // of a process
	KeyStderr      = "stderr" // the last lines that a process wrote there
	// KeyRestartInMS is when a plugin that ended will be started again.
	KeyRestartInMS = "restart_in_ms"
	// KeyGapUS is how long nobody was at work during a reload or an upgrade.
	KeyGapUS = "gap_us"

	KeyMount = "mount" // Mount: its name
	KeyLines = "lines" // LogLost: how many

	KeyPackets = "packets" // Dropped: how many

	KeyTo        = "to"          // Notify: command or webhook
	KeyEvents    = "events"      // Notify: of how many it tells
	KeyRetryInMS = "retry_in_ms" // Notify: when it is tried again
)

// The values of KeyDir.
const (
	Sent     = "sent"
	Received = "received"
)

// The values of KeyVia: how a node learnt of a change. They are those of membership.Via.
const (
	ViaSelf    = "self"    // it is about this node, or this gateway admitted it
	ViaMonitor = "monitor" // this node watched, and concluded it
	ViaUpdate  = "update"  // another member told it
	ViaSync    = "sync"    // lists were compared
)

// Config says where a Log is and how large it may grow.
type Config struct {
	Dir  string // made where it is missing
	Name string // of the file in it
	// BytesMax is the size at which a file is rotated. Larger files are cheaper to
	// follow, smaller ones are compressed sooner. Zero means 64 MiB.
	BytesMax int64
	// RotatedMax is how many rotated files are kept, the oldest going first. Zero means 32.
	RotatedMax int
	// Now gives the times of lines. Nil means time.Now.
	Now func() time.Time
}

const (
	bytesMaxDefault   = 64 << 20
	rotatedMaxDefault = 32
)

// Log is an open event log.
type Log struct {
	file    *file
	handler slog.Handler
	now     func() time.Time
	dropped atomic.Uint64
}

// Open opens the log for appending. It fails where the directory cannot be made or
// written to, so that nobody runs without a log unawares.
func Open(cfg Config) (*Log, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.BytesMax == 0 {
		cfg.BytesMax = bytesMaxDefault
	}
	if cfg.RotatedMax == 0 {
		cfg.RotatedMax = rotatedMaxDefault
	}
	file, err := openFile(cfg)
	if err != nil {
		return nil, fmt.Errorf("open the event log: %w", err)
	}
	handler := slog.NewJSONHandler(file, &slog.HandlerOptions{
		Level:       slog.LevelDebug,
		ReplaceAttr: replaceBuiltin,
	})
	return &Log{file: file, handler: handler, now: cfg.Now}, nil
}

// Write appends a line. An empty peer leaves the key out. A line that cannot be written
// (the disk is full) is counted as dropped: no caller could do anything better. Where lines were
// lost because the file was removed, which shows after a second, another line says so.
func (l *Log) Write(level slog.Level, event Event, node, peer string, attrs ...slog.Attr) {
	l.write(level, event, node, peer, attrs...)
	l.tellLost(node)
}

// Check looks whether the file still has its name, as each second's first Write does, and opens it
// again if it was removed. It is for logs that may have nothing to say for long.
func (l *Log) Check(node string) {
	l.file.look()
	l.tellLost(node)
}

// tellLost counts lines that were lost, and says so where they would have been.
func (l *Log) tellLost(node string) {
	lost := l.file.takeLost()
	if lost == 0 {
		return
	}
	l.dropped.Add(lost)
	l.write(slog.LevelWarn, LogLost, node, "", slog.Uint64(KeyLines, lost),
		slog.String(KeyDetail, "the log was removed while it was written to; so many lines at the most were lost"))
}

func (l *Log) write(level slog.Level, event Event, node, peer string, attrs ...slog.Attr) {
	record := slog.NewRecord(l.now(), level, string(event), 0)
	record.AddAttrs(slog.String(KeyNode, node))
	if peer != "" {
		record.AddAttrs(slog.String(KeyPeer, peer))
	}
	record.AddAttrs(attrs...)
	if err := l.handler.Handle(context.Background(), record); err != nil {
		l.dropped.Add(1)
	}
}

// Dropped is how many lines could not be written.
func (l *Log) Dropped() uint64 { return l.dropped.Load() }

// Close ends the log; lines written later are dropped.
func (l *Log) Close() error { return l.file.Close() }

// replaceBuiltin turns the names and forms that slog gives its own three fields into
// those of the schema. The level becomes a string here because slog would send it
// through encoding/json, a quarter of a heartbeat's cost.
func replaceBuiltin(groups []string, a slog.Attr) slog.Attr {
	switch a.Key {
	case slog.TimeKey:
		if a.Value.Kind() == slog.KindTime {
			a.Value = slog.StringValue(formatTime(a.Value.Time()))
		}
	case slog.LevelKey:
		if level, ok := a.Value.Any().(slog.Level); ok {
			a.Value = slog.StringValue(level.String())
		}
	case slog.MessageKey:
		a.Key = KeyEvent
	}
	return a
}
