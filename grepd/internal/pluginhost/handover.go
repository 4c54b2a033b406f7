package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/aksinghdce/cluster-membership-service/shared/eventlog"
)

// Handed is what one host hands to another daemon's host of the same plugin.
type Handed struct {
	State   []byte // nil: begin afresh
	Crashed bool   // State is older than the plugin's last work
	Retired bool   // the plugin is not at work, and is not to be
	// Frozen is since when no process has been at work.
	Frozen time.Time
}

// HandOver freezes the plugin and calls give with what it knows, which returns nil when
// another host's process is at work in its place, and an error when none is and none will
// be. It does not come to that while the program in the plugin directory is one that this
// host has refused or rolled back: the other host runs that, and has none to go back to. In
// the first case the plugin is ended, without being retired, and of the host's methods only
// Stop and Info are of use any more. In the second it resumes, and HandOver returns give's
// error, or its own. Reloads under way are answered with ErrHandOver; whatever else the host
// is asked to do waits meanwhile.
func (h *Host) HandOver(give func(Handed) error) error {
	return h.do(context.Background(), func() error { return h.handOver(give) })
}

func (h *Host) handOver(give func(Handed) error) error {
	h.settle(ErrHandOver)
	old := h.current
	if err := h.checkBan(); err != nil {
		if h.stage == waiting {
			h.retry.Reset(0)
		}
		return fmt.Errorf("plugin %q: %w", h.cfg.Kind.Name, err)
	}
	handed := Handed{State: h.snapshot, Crashed: true, Retired: h.stage == stopped, Frozen: time.Now()}
	frozen := false
	if old != nil {
		handed.State, frozen = h.freeze(old)
		handed.Crashed = !frozen
	}
	if err := give(handed); err != nil {
		if old != nil {
			err = errors.Join(err, h.resume(old, handed.State, frozen))
		} else if h.stage == waiting {
			h.retry.Reset(0)
		}
		return err
	}
	h.stage, h.current = handedOver, nil
	h.publish()
	if old != nil {
		old.end(h.cfg.Timing.Grace)
		h.log(slog.LevelInfo, actionHandOver, slog.Int(eventlog.KeyPID, old.process.pid))
	}
	return nil
}

// checkBan says what is wrong with the program in the plugin directory, if it is the banned
// one. One that is at work since it was tried again by hand may be handed over.
func (h *Host) checkBan() error {
	banned := &h.trial.banned
	if *banned == (ban{}) || banned.checksum == h.program.checksum {
		return nil
	}
	checksum, err := checksumOf(h.ctx, h.path)
	if err != nil {
		return err
	}
	if checksum != banned.checksum {
		return nil
	}
	return fmt.Errorf("%s, checksum %x, was refused or rolled back: %s; put another program there, or try it with grepd plugin reload",
		h.path, checksum[:6], banned.reason)
}

// Prepared is a plugin that has been launched and does nothing yet.
type Prepared struct {
	host *Host
	idle *instance
}

// Prepare stages and launches the plugin, and leaves it idle. It fails, leaving nothing
// behind, where that cannot be done.
func Prepare(ctx context.Context, cfg Config) (*Prepared, error) {
	p := new(Prepared)
	var err error
	p.host, err = newHost(ctx, cfg, func(h *Host) error {
		h.setClocks()
		program, err := copyExecutable(h.ctx, h.path, h.runDir.path)
		if err != nil {
			return err
		}
		if p.idle, err = h.launch(h.ctx, program); err != nil {
			return err
		}
		h.program = program
		h.publish()
		return nil
	})
	if err != nil {
		return nil, err
	}
	p.host.cfg.Presence = nil // its restarts are nobody else's concern
	return p, nil
}

// PID is the plugin's process, which leads a process group of its own.
func (p *Prepared) PID() int { return p.idle.process.pid }

// Begin goes on where another host stopped. Where that fails, End is next.
func (p *Prepared) Begin(from Handed) (*Host, error) {
	h := p.host
	if from.Retired {
		p.idle.end(0)
	} else if err := h.startInTime(p.idle, from.State, from.Crashed); err != nil {
		return nil, fmt.Errorf("plugin %q: %w", h.cfg.Kind.Name, err)
	} else {
		h.become(p.idle, actionTakeOver, slog.Int64(eventlog.KeyGapUS, time.Since(from.Frozen).Microseconds()))
	}
	if err := h.watchDir(); err != nil {
		// A plugin that is not reloaded by itself is better than none.
		h.log(slog.LevelWarn, actionRefuse, slog.String(eventlog.KeyError, err.Error()))
	}
	go h.run()
	return h, nil
}

// End ends the plugin and the host. It is for those that do not begin.
func (p *Prepared) End() {
	p.idle.end(0)
	p.host.discard()
}
