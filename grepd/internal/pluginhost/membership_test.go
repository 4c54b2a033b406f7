package pluginhost

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"

	"github.com/aksinghdce/cluster-membership-service/shared/eventlog"
	"github.com/aksinghdce/cluster-membership-service/shared/pluginapi"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/pluginpb"
)

// watched is a service that tells some updates and then ends its host's attention.
type watched struct {
	pluginapi.Membership // what is not implemented panics
	updates              []*pluginpb.MembersUpdate
	end                  context.CancelFunc
}

func (w *watched) Watch(_ context.Context, changed func(*pluginpb.MembersUpdate) error) error {
	defer w.end()
	for _, update := range w.updates {
		if err := changed(update); err != nil {
			return err
		}
	}
	return errors.New("no more")
}

func TestListIsLiveOnceThisNodeIsInIt(t *testing.T) {
	member := func(addr string, incarnation uint64) pluginpb.Member {
		return pluginpb.Member{Addr: addr, Incarnation: incarnation, State: pluginpb.State_ALIVE}
	}
	joining := &pluginpb.MembersUpdate{Reset_: true, Self: "b@2"}
	pulled := &pluginpb.MembersUpdate{Self: "b@2", Members: []pluginpb.Member{member("a", 1), member("b", 1)}}
	joined := &pluginpb.MembersUpdate{Self: "b@2", Members: []pluginpb.Member{member("b", 2)}}
	grown := &pluginpb.MembersUpdate{Self: "b@2", Members: []pluginpb.Member{member("c", 3)}}
	for _, test := range []struct {
		name    string
		updates []*pluginpb.MembersUpdate
		want    []string
	}{
		{"never joined", []*pluginpb.MembersUpdate{joining, pulled}, nil},
		{"joined, and told once", []*pluginpb.MembersUpdate{joining, pulled, joined, grown}, []string{"live: 2 members known"}},
	} {
		var modes []string
		ctx, cancel := context.WithCancel(t.Context())
		m := &Membership{roster: newRoster(), cfg: MembershipConfig{
			Log: func(_ slog.Level, _ eventlog.Event, _ string, attrs ...slog.Attr) {
				modes = append(modes, attrs[0].Value.String()+": "+attrs[1].Value.String())
			},
		}}
		(&membershipService{Membership: &watched{updates: test.updates, end: cancel}, owner: m}).Attend(ctx)
		if !slices.Equal(modes, test.want) {
			t.Errorf("%s: logged %q, want %q", test.name, modes, test.want)
		}
	}
}
