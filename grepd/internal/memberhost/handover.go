package memberhost

import (
	"context"
	"time"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/pluginhost"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/roster"
)

// rosterTimeout bounds the wait for the member list of a plugin that has taken over.
const rosterTimeout = 2 * time.Second

// HandOver is pluginhost.Host.HandOver. The member list stays as it is, for queries under way.
func (h *Host) HandOver(give func(pluginhost.Handed) error) error { return h.plugin.HandOver(give) }

// Prepared is the membership plugin before it takes over.
type Prepared struct {
	*pluginhost.Prepared
	host *Host
}

// Prepare launches the plugin and leaves it idle.
func Prepare(ctx context.Context, cfg Config) (*Prepared, error) {
	h := &Host{cfg: cfg, roster: roster.New()}
	prepared, err := pluginhost.Prepare(ctx, h.pluginConfig())
	if err != nil {
		return nil, err
	}
	return &Prepared{prepared, h}, nil
}

// Roster is the list of the Host that Begin returns; it is empty and stale before.
func (p *Prepared) Roster() *roster.Roster { return p.host.roster }

// Begin is pluginhost.Prepared.Begin. When it returns, the member list is there, so that
// queries have somebody to go to. If the plugin does not tell it in time, the list is empty
// and stale.
func (p *Prepared) Begin(from pluginhost.Handed) (*Host, error) {
	h := p.host
	changed := h.roster.Changed()
	var err error
	if h.plugin, err = p.Prepared.Begin(from); err != nil {
		return nil, err
	}
	if from.Retired {
		h.roster.MarkLeft()
		return h, nil
	}
	select {
	case <-changed:
	case <-time.After(rosterTimeout):
	}
	return h, nil
}
