package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/pluginhost"
	"github.com/aksinghdce/cluster-membership-service/shared/pluginapi"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/greppb"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/pluginpb"
	"github.com/aksinghdce/cluster-membership-service/shared/version"
)

const (
	// statusTimeout bounds asking the plugin how it is.
	statusTimeout = time.Second
	// changeTimeout bounds what changes something: leaving, reloading. It is longer than
	// a plugin may take to start.
	changeTimeout = time.Minute
	// stateUnknown is the state of a node that a person has listed.
	stateUnknown = "unknown"
)

// admin answers the subcommands.
type admin struct{ daemon *daemon }

var _ greppb.AdminServer = (*admin)(nil)

var errNoMembership = status.Error(codes.FailedPrecondition, "this grepd runs without membership; start it with --"+flagMembership)

func (a *admin) Members(context.Context, *greppb.MembersRequest) (*greppb.MembersReply, error) {
	if a.daemon.membership == nil {
		return a.staticMembers(), nil
	}
	list := a.daemon.membership.Roster().List()
	reply := &greppb.MembersReply{
		Version: list.Version, Digest: list.Digest, Self: list.Self,
		Live: true, Stale: !list.StaleSince.IsZero(), Phase: phaseOf(list),
	}
	for _, m := range list.Members {
		reply.Members = append(reply.Members, greppb.Member{
			Addr: m.Addr, Incarnation: m.Incarnation, State: stateNames[m.State], SinceUnixNanos: m.SinceUnixNanos,
			Gray: slices.Contains(list.Gray, m.Addr),
		})
	}
	return reply, nil
}

var stateNames = map[pluginpb.State]string{
	pluginpb.State_ALIVE: "alive", pluginpb.State_FAILED: "failed", pluginpb.State_LEFT: "left",
}

func (a *admin) staticMembers() *greppb.MembersReply {
	targets := a.daemon.members.Targets()
	reply := &greppb.MembersReply{Self: targets.Self}
	for _, m := range targets.Members {
		reply.Members = append(reply.Members, greppb.Member{
			Addr: m.Addr, State: stateUnknown, SinceUnixNanos: a.daemon.started.UnixNano(),
		})
	}
	return reply
}

func (a *admin) Status(ctx context.Context, _ *greppb.StatusRequest) (*greppb.StatusReply, error) {
	d := a.daemon
	reply := &greppb.StatusReply{
		Id: d.self.String(), Version: version.String(), StartedUnixNanos: d.started.UnixNano(),
		Membership: "off", Mounts: d.mounts.Pairs(), Pid: int64(os.Getpid()),
		Upgrades: uint32(d.succession.upgrades()), SinceUnixNanos: d.succession.since.UnixNano(),
		Warnings: d.mounts.Troubles(),
	}
	reply.Counters = append(reply.Counters, greppb.Counter{Name: "grepd_log_lines_dropped", Value: d.log.Dropped()})
	if d.membership == nil {
		return reply, nil
	}
	reply.Membership = string(d.membership.Info().State)
	for _, p := range d.plugins() {
		reply.Plugins = append(reply.Plugins, describePlugin(p.Info()))
	}
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	d.notifyStatus(ctx, reply)
	plugin, err := d.membership.Status(ctx)
	if err != nil { // which is a status too, and no reason to keep the rest back
		reply.Detail = "the plugin does not say how it is: " + err.Error()
		return reply, nil
	}
	if plugin.Id != "" {
		reply.Id = plugin.Id
	}
	reply.Phase, reply.Leader, reply.Detail = plugin.Phase, plugin.Leader, plugin.Detail
	if g := plugin.Gray; g != nil {
		reply.Gray = &greppb.Gray{SinceUnixNanos: g.SinceUnixNanos, Answers: g.Answers, Questions: g.Questions}
	}
	reply.Warnings = append(reply.Warnings, plugin.Warnings...)
	for _, c := range plugin.Counters {
		reply.Counters = append(reply.Counters, greppb.Counter{Name: c.Name, Value: c.Value})
	}
	return reply, nil
}

// notifyStatus adds the notify plugin's counters. Where it does not give them, the list of
// plugins shows why.
func (d *daemon) notifyStatus(ctx context.Context, reply *greppb.StatusReply) {
	if d.notify == nil {
		return
	}
	status, err := d.notify.Status(ctx)
	if err != nil {
		return
	}
	for _, c := range status.Counters {
		reply.Counters = append(reply.Counters, greppb.Counter{Name: pluginapi.NotifyName + "_" + c.Name, Value: c.Value})
	}
}

func describePlugin(info pluginhost.Info) greppb.Plugin {
	return greppb.Plugin{
		Name: info.Name, Version: info.Version, ApiVersion: uint32(info.APIVersion), Checksum: info.Checksum,
		Pid: int64(info.PID), SinceUnixNanos: info.Since.UnixNano(), Restarts: uint32(info.Restarts),
		LastExit: info.LastExit, State: string(info.State),
	}
}

func (a *admin) Bounds(ctx context.Context, request *greppb.BoundsRequest) (*greppb.BoundsReply, error) {
	if a.daemon.membership == nil {
		return nil, errNoMembership
	}
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	b, err := a.daemon.membership.Bounds(ctx, int(request.Members))
	if err != nil {
		return nil, status.Error(codes.FailedPrecondition, err.Error())
	}
	return &greppb.BoundsReply{
		Members: b.Members, MaxFailures: b.MaxFailures,
		IntervalNanos: b.IntervalNanos, DoubtNanos: b.DoubtNanos, AgreedNanos: b.AgreedNanos, DeadlineNanos: b.DeadlineNanos,
		MarginNanos: b.MarginNanos, DetectNanos: b.DetectNanos,
		RankNanos: b.RankNanos, BatchNanos: b.BatchNanos, Hops: b.Hops, HopNanos: b.HopNanos,
		TakeoverNanos: b.TakeoverNanos, SpreadNanos: b.SpreadNanos, AllNanos: b.AllNanos,
		SpreadWithinNanos: b.SpreadWithinNanos, Text: b.Text,
	}, nil
}

func (a *admin) Version(context.Context, *greppb.VersionRequest) (*greppb.VersionReply, error) {
	return &greppb.VersionReply{Version: version.String(), Go: runtime.Version()}, nil
}

func (a *admin) Leave(ctx context.Context, _ *greppb.LeaveRequest) (*greppb.LeaveReply, error) {
	if err := a.mayChangePlugin(ctx); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, changeTimeout)
	defer cancel()
	if err := a.daemon.membership.Leave(ctx); err != nil {
		return nil, status.Error(codes.FailedPrecondition, err.Error())
	}
	return &greppb.LeaveReply{}, nil
}

func (a *admin) ReloadPlugin(ctx context.Context, request *greppb.ReloadPluginRequest) (*greppb.ReloadPluginReply, error) {
	if err := a.mayChangePlugin(ctx); err != nil {
		return nil, err
	}
	p, err := a.pluginOf(cmp.Or(request.Name, pluginapi.MembershipName))
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, changeTimeout)
	defer cancel()
	info, err := p.Reload(ctx)
	if err != nil {
		return nil, status.Error(codes.FailedPrecondition, err.Error())
	}
	return &greppb.ReloadPluginReply{Plugin: describePlugin(info)}, nil
}

func (a *admin) pluginOf(name string) (plugin, error) {
	var loaded []string
	for _, p := range a.daemon.plugins() {
		if p.Info().Name == name {
			return p, nil
		}
		loaded = append(loaded, strconv.Quote(p.Info().Name))
	}
	return nil, status.Errorf(codes.NotFound, "no plugin %q is loaded, only %s", name, strings.Join(loaded, ", "))
}

// Upgrade goes on when the client does not wait for it any more.
func (a *admin) Upgrade(ctx context.Context, _ *greppb.UpgradeRequest) (*greppb.UpgradeReply, error) {
	if err := mayChange(ctx); err != nil {
		return nil, err
	}
	successor, err := a.daemon.upgrade()
	if err != nil {
		return nil, status.Error(codes.FailedPrecondition, err.Error())
	}
	return &greppb.UpgradeReply{
		Version: successor.Version, Pid: int64(successor.PID), OldPid: int64(os.Getpid()), GapNanos: int64(successor.Gap),
	}, nil
}

// mayChange says why a call that changes something is refused, if it is. Only who is on
// this machine may make one: the connection comes from an address of its own.
func mayChange(ctx context.Context) error {
	if p, ok := peer.FromContext(ctx); !ok || !isOwn(p) {
		return status.Error(codes.PermissionDenied, "that can only be done from the machine itself")
	}
	return nil
}

func (a *admin) mayChangePlugin(ctx context.Context) error {
	if err := mayChange(ctx); err != nil {
		return err
	}
	if a.daemon.membership == nil {
		return errNoMembership
	}
	return nil
}

func isOwn(p *peer.Peer) bool {
	remote, err := hostOf(p.Addr)
	if err != nil {
		return false
	}
	if remote.IsLoopback() {
		return true
	}
	local, err := hostOf(p.LocalAddr)
	return err == nil && local.Equal(remote)
}

func hostOf(addr net.Addr) (net.IP, error) {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok {
		return nil, errors.New("not a TCP address: " + fmt.Sprint(addr))
	}
	return tcp.IP, nil
}
