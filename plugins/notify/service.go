package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/aksinghdce/cluster-membership-service/shared/eventlog"
	"github.com/aksinghdce/cluster-membership-service/shared/pluginapi"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/notifypb"
)

// service is the notify service as the host calls it. Between Freeze and Start, and before
// the first Start, there is no notifier.
type service struct {
	mu       sync.Mutex // calls come from many goroutines
	notifier *notifier
}

var _ pluginapi.Notify = (*service)(nil)

var (
	errAtWork = errors.New("the notify service is at work already")
	errIdle   = errors.New("the notify service is idle")
)

func (s *service) Start(_ context.Context, request *notifypb.StartRequest) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.notifier != nil {
		return errAtWork
	}
	cfg, err := readConfig(&request.Config)
	if err != nil {
		return err
	}
	notifier, err := startNotifier(cfg, request)
	if err != nil {
		return err
	}
	s.notifier = notifier
	return nil
}

// config is what a notifier works with.
type config struct {
	logDir       string
	wanted       map[eventlog.Event]bool
	all          bool
	destinations []destination
}

// readConfig checks the host's configuration.
func readConfig(c *notifypb.Config) (config, error) {
	cfg := config{logDir: c.LogDir, all: c.All, wanted: map[eventlog.Event]bool{}}
	for _, name := range c.Events {
		event := eventlog.Event(strings.ToUpper(name))
		if scopes[event] == 0 {
			return cfg, fmt.Errorf("no notification can be had of %q; of %s", name, strings.Join(eventNames(), ", "))
		}
		cfg.wanted[event] = true
	}
	if len(c.Command) > 0 {
		cfg.destinations = append(cfg.destinations, &command{argv: c.Command, environment: c.Environment, timeout: commandTimeout})
	}
	if c.Webhook != "" {
		headers := slices.Clone(c.Headers)
		if c.HeaderFile != "" {
			more, err := readHeaders(c.HeaderFile)
			if err != nil {
				return cfg, err
			}
			headers = append(headers, more...)
		}
		webhook, err := newWebhook(c.Webhook, headers)
		if err != nil {
			return cfg, err
		}
		cfg.destinations = append(cfg.destinations, webhook)
	}
	return cfg, nil
}

func eventNames() (names []string) {
	for event := range scopes {
		names = append(names, string(event))
	}
	slices.Sort(names)
	return names
}

// current returns the notifier under way.
func (s *service) current() (*notifier, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.notifier == nil {
		return nil, errIdle
	}
	return s.notifier, nil
}

func (s *service) Snapshot(ctx context.Context) ([]byte, error) {
	notifier, err := s.current()
	if err != nil {
		return nil, err
	}
	return notifier.snapshot(ctx)
}

func (s *service) Freeze(context.Context) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.notifier == nil {
		return nil, errIdle
	}
	state, err := s.notifier.stop(freezeGrace)
	s.notifier = nil
	return state, err
}

func (s *service) Members(ctx context.Context, request *notifypb.MembersRequest) error {
	notifier, err := s.current()
	if err != nil {
		return err
	}
	return notifier.members(ctx, request)
}

func (s *service) Drain(ctx context.Context) error {
	notifier, err := s.current()
	if err != nil {
		return err
	}
	return notifier.drain(ctx)
}

func (s *service) Status(ctx context.Context) (*notifypb.StatusReply, error) {
	notifier, err := s.current()
	if err != nil {
		return &notifypb.StatusReply{}, nil
	}
	counters, err := notifier.status(ctx)
	return &notifypb.StatusReply{Counters: counters}, err
}

// close ends the notifier under way, if any.
func (s *service) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.notifier != nil {
		_, _ = s.notifier.stop(0) // what was not delivered has been logged
		s.notifier = nil
	}
}
