package handover

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/subprocess"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/handoverpb"
)

// Config says what is handed over, and to what.
type Config struct {
	// Path is the new program; it gets the arguments that this process has, its
	// environment and its working directory.
	Path string
	// Listener and Socket stay the caller's. Socket may be nil.
	Listener *net.TCPListener
	Socket   *net.UDPConn
	// Since is when the first grepd of this line began, and Upgrades how many have taken
	// over in it.
	Since    time.Time
	Upgrades int
	// Mounts is where the mounts led when the first grepd of this line began.
	Mounts []handoverpb.Mount
	// HandOver freezes the plugins and calls give with what they know. Where give fails
	// nobody else is at work, and they have to resume; where it returns nil another process
	// is, and they have to end. HandOver returns give's error, or its own if it cannot
	// freeze. Give calls it once, with the new grepd ready and waiting.
	HandOver func(give func([]handoverpb.Plugin) error) error
	// Timing may be left zero.
	Timing Timing
}

// Successor is the new grepd.
type Successor struct {
	PID     int
	Version string
	Gap     time.Duration // for which no plugin was at work
}

// Give starts the new program and hands over to it. When it returns without an error, the
// new one is at work and accepts connections, and the caller has to accept no more, let
// its queries end and exit. With an error, nothing of the new one is left, and it says why
// in one line. When ctx ends before HandOver is called, Give gives up.
func Give(ctx context.Context, cfg Config) (Successor, error) {
	cfg.Timing = cfg.Timing.withDefaults()
	s, err := start(&cfg)
	if err != nil {
		return Successor{}, fmt.Errorf("start %s: %w", cfg.Path, explainStart(err))
	}
	defer s.close()
	ready, err := s.await(ctx, &cfg)
	if err != nil {
		s.end()
		return Successor{}, fmt.Errorf("the new grepd: %w", s.describe(err))
	}
	s.children = ready.Children
	var started *handoverpb.Started
	err = cfg.HandOver(func(plugins []handoverpb.Plugin) (err error) {
		if started, err = s.give(plugins); err != nil {
			return errors.Join(fmt.Errorf("the new grepd: %w", s.describe(err)), s.end())
		}
		return nil
	})
	if err != nil {
		if started == nil {
			s.end() // where HandOver could not freeze; else this has been done
		}
		return Successor{}, err
	}
	return Successor{PID: s.cmd.Process.Pid, Version: ready.Version, Gap: time.Duration(started.GapNanos)}, nil
}

// successor is the new process as the old one sees it.
type successor struct {
	cmd          *exec.Cmd
	timing       Timing
	conversation *conversation
	presence     *os.File // the read end: it ends with the last process of the new side
	words        *os.File // the read end of its standard error until Ready
	stderr       subprocess.Tail
	listened     chan struct{} // closed when words has ended
	exited       chan struct{}
	children     []int64
}

// start starts the new process and offers.
func start(cfg *Config) (_ *successor, err error) {
	s := &successor{timing: cfg.Timing, listened: make(chan struct{}), exited: make(chan struct{})}
	var inherited []*os.File
	defer func() {
		for _, f := range inherited {
			if f != os.Stderr {
				f.Close()
			}
		}
		if err != nil {
			s.close()
		}
	}()
	ours, theirs, err := converse()
	if err != nil {
		return nil, err
	}
	s.conversation = ours
	inherited = append(inherited, theirs)
	listener, err := subprocess.Duplicate(cfg.Listener)
	if err != nil {
		return nil, err
	}
	inherited = append(inherited, listener)
	presence, present, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	s.presence = presence
	inherited = append(inherited, present, os.Stderr)
	if cfg.Socket != nil {
		socket, err := subprocess.Duplicate(cfg.Socket)
		if err != nil {
			return nil, err
		}
		inherited = append(inherited, socket)
	}
	words, written, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	s.words = words
	s.cmd = &exec.Cmd{
		Path: cfg.Path, Args: os.Args, Env: append(os.Environ(), envHeir+"="+envHeirValue),
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: written, ExtraFiles: inherited,
		// A group of its own can be ended with all that a wrapper script has started.
		SysProcAttr: &syscall.SysProcAttr{Setpgid: true},
	}
	err = s.cmd.Start()
	written.Close()
	if err != nil {
		return nil, err
	}
	go func() {
		defer close(s.listened)
		_, _ = io.Copy(io.MultiWriter(&s.stderr, os.Stderr), s.words) // until the other end or close
	}()
	go func() {
		defer close(s.exited)
		_ = s.cmd.Wait() // the status stays in ProcessState
	}()
	return s, nil
}

func explainStart(err error) error {
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) { // the path has been said
		err = pathErr.Err
	}
	switch {
	case errors.Is(err, syscall.ENOEXEC):
		return fmt.Errorf("%w: not a program for this machine", err)
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("%w: is it executable?", err)
	}
	return err
}

// await offers, and waits until the new process is ready.
func (s *successor) await(ctx context.Context, cfg *Config) (*handoverpb.Ready, error) {
	ticks, err := startTicks(os.Getpid())
	if err != nil {
		return nil, err
	}
	offer := &handoverpb.Offer{
		Version: version, Pid: int64(os.Getpid()), StartTicks: ticks,
		SinceUnixNanos: cfg.Since.UnixNano(), Upgrades: uint32(cfg.Upgrades), Socket: cfg.Socket != nil, Mounts: cfg.Mounts,
	}
	if err := s.conversation.send(&handoverpb.Message{Step: &handoverpb.Message_Offer{Offer: offer}}, sendTimeout); err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, s.conversation.close) // which ends a wait
	defer stop()
	m, err := s.receive(s.timing.Ready)
	if ctx.Err() != nil {
		return nil, fmt.Errorf("given up: %w", context.Cause(ctx))
	}
	if err != nil {
		return nil, err
	}
	if m.GetReady() == nil {
		return nil, errors.New("it does not say that it is ready, but something else")
	}
	return m.GetReady(), nil
}

// give sends the state, and waits until the new process works from it.
func (s *successor) give(plugins []handoverpb.Plugin) (*handoverpb.Started, error) {
	deadline := time.Now().Add(s.timing.Start)
	state := &handoverpb.State{Plugins: plugins}
	if err := s.conversation.send(&handoverpb.Message{Step: &handoverpb.Message_State{State: state}}, s.timing.Start); err != nil {
		return nil, err
	}
	m, err := s.receive(time.Until(deadline))
	if err != nil {
		return nil, err
	}
	if m.GetStarted() == nil {
		return nil, errors.New("it does not say that it has started, but something else")
	}
	return m.GetStarted(), nil
}

// receive waits for a message. A refusal is an error.
func (s *successor) receive(within time.Duration) (*handoverpb.Message, error) {
	m, err := s.conversation.receive(within)
	if err != nil {
		return nil, err
	}
	if refusal := m.GetRefusal(); refusal != nil {
		return nil, errors.New(refusal.Reason)
	}
	return m, nil
}

// describe adds to an error how the process ended, if it has, and what it wrote.
func (s *successor) describe(err error) error {
	if errors.Is(err, errGone) {
		// Who closes the conversation is about to end: a moment tells how.
		moment := time.After(s.timing.End)
		select {
		case <-s.exited:
			err = fmt.Errorf("it ended: %v", s.cmd.ProcessState)
		case <-moment:
		}
		select {
		case <-s.listened:
		case <-moment: // something that it started has the other end, too
		}
	}
	if lines := strings.TrimSpace(s.stderr.String()); lines != "" {
		err = fmt.Errorf("%w; it wrote: %s", err, subprocess.Printable(strings.ReplaceAll(lines, "\n", " | ")))
	}
	return err
}

// deathTimeout is how long the end of the new process is waited for once it was killed. It
// runs no more from then on, but the system keeps it while it waits for a disk, and that may
// be seconds for which nobody of either side is at work.
const deathTimeout = 200 * time.Millisecond

// end kills the new process and waits until nothing of its side is left, or until it is only
// the system that keeps it.
func (s *successor) end() error {
	s.killGroup(s.cmd.Process.Pid)
	select {
	case <-s.exited:
	case <-time.After(deathTimeout):
	}
	if s.gone() {
		return nil
	}
	// Its children end with it by themselves, but for those that hang. That the pipe is
	// still held proves that some live, and so that these ids are still theirs.
	for _, pid := range s.children {
		s.killGroup(int(pid))
	}
	if s.gone() {
		return nil
	}
	return errors.New("and processes that it started do not end")
}

func (s *successor) killGroup(pid int) {
	if pid > 1 {
		_ = syscall.Kill(-pid, syscall.SIGKILL) // the only error is that it has ended
	}
}

// gone waits for the end of the new side, for Timing.End.
func (s *successor) gone() bool {
	if err := s.presence.SetReadDeadline(time.Now().Add(s.timing.End)); err != nil {
		return false
	}
	_, err := s.presence.Read(make([]byte, 1))
	return errors.Is(err, io.EOF)
}

func (s *successor) close() {
	if s.conversation != nil {
		s.conversation.close()
	}
	for _, f := range []*os.File{s.presence, s.words} {
		if f != nil {
			f.Close()
		}
	}
}
