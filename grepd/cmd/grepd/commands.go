package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"
	"google.golang.org/grpc/codes"
	grpcstatus "google.golang.org/grpc/status"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/client"
	"github.com/aksinghdce/cluster-membership-service/shared/eventlog"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/greppb"
	"github.com/aksinghdce/cluster-membership-service/shared/version"
)

const (
	flagVia  = "via"
	flagJSON = "json"

	// askTimeout bounds what only asks; what changes something has changeTimeout.
	askTimeout = 5 * time.Second
)

func commands() []*cli.Command {
	return []*cli.Command{
		command("members", "print the member list", asksJSON, runMembers),
		command("status", "say how the daemon is", asksJSON, runStatus),
		command("plugins", "print the plugins that it runs", asksJSON, runPlugins),
		command("bounds", "compute the worst case for finding and spreading a failure", asksBounds, runBounds),
		recordCommand(),
		auditCommand(),
		command("leave", "take the machine out of the group; it goes on answering dgrep", asks, runLeave),
		command("upgrade", "put the daemon's new binary in its place, without losing a query", asks, runUpgrade),
		command("version", "print this program's version, or with --via the daemon's", asks, runVersion),
		{
			Name: "plugin", Usage: "do something with a plugin", HideHelpCommand: true, OnUsageError: usageError,
			Action: func(c *cli.Context) error {
				return fmt.Errorf("%s: want: grepd plugin reload [NAME]", strings.TrimSpace("plugin "+c.Args().First()))
			},
			Subcommands: []*cli.Command{
				command("reload", "replace the process of a plugin, or of all, by the program in the plugin directory", asks, runReload),
			},
		},
	}
}

// viaVars stand for --via where that is not given; the first one that is set counts.
var viaVars = []string{"GREPD_VIA", "DGREP_VIA"}

// What flags a subcommand has.
var (
	asks = []cli.Flag{&cli.StringFlag{
		Name: flagVia, Value: defaultAddr, EnvVars: viaVars, Usage: "`HOST:PORT` of the daemon",
	}}
	asksJSON = append(slices.Clip(asks), &cli.BoolFlag{Name: flagJSON, Usage: "print JSON"})
)

func command(name, usage string, flags []cli.Flag, action cli.ActionFunc) *cli.Command {
	return &cli.Command{
		Name: name, Usage: usage, Flags: flags, Action: action,
		HideHelpCommand: true, OnUsageError: usageError,
	}
}

// operands refuses more of them than the command has.
func operands(c *cli.Context, most int) error {
	if c.Args().Len() > most {
		if extra := c.Args().Get(most); strings.HasPrefix(extra, "-") {
			return fmt.Errorf("%s: options go before operands: %q", c.Command.Name, extra)
		}
		return fmt.Errorf("%s: %q is one operand too many", c.Command.Name, c.Args().Get(most))
	}
	return nil
}

// ask calls the daemon.
func ask[Reply any](c *cli.Context, timeout time.Duration, call func(context.Context, greppb.AdminClient) (Reply, error)) (Reply, error) {
	var none Reply
	conn, err := connect(c)
	if err != nil {
		return none, err
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(c.Context, timeout)
	defer cancel()
	reply, err := call(ctx, greppb.NewAdminClient(conn.ClientConn))
	if err != nil {
		return none, explain(c, conn.Explain(err, false))
	}
	return reply, nil
}

// connect prepares a connection to the daemon that --via names, which opens at the first call.
func connect(c *cli.Context) (*client.Conn, error) {
	via := c.String(flagVia)
	if _, _, err := net.SplitHostPort(via); err != nil {
		from := "--" + flagVia
		if i := slices.IndexFunc(viaVars, func(name string) bool { return via != "" && os.Getenv(name) == via }); i >= 0 {
			from = viaVars[i]
		}
		return nil, fmt.Errorf("%s %q: want host:port", from, via)
	}
	conn, err := client.Dial(via)
	if err != nil {
		return nil, fmt.Errorf("--%s %q: %w", flagVia, via, err)
	}
	return conn, nil
}

// explain says in a call's error which daemon was asked, and what to do.
func explain(c *cli.Context, err error) error {
	var trouble *client.Trouble
	switch via, status := c.String(flagVia), grpcstatus.Convert(err); {
	case errors.As(err, &trouble):
		return err
	case status.Code() == codes.Unimplemented:
		return fmt.Errorf("grepd at %s is too old for that; restart it with the program that this one is from", via)
	default:
		return fmt.Errorf("%s: %s", via, status.Message())
	}
}

// memberJSON is a row of grepd members --json.
type memberJSON struct {
	ID          string `json:"id"` // of a node that a person listed: its address
	Addr        string `json:"addr"`
	Incarnation uint64 `json:"incarnation"`
	State       string `json:"state"`
	Since       string `json:"since"`
	Gray        bool   `json:"gray"`
}

// phaseNames are the words for phases in JSON. That of a member is left out.
var phaseNames = map[greppb.Phase]string{greppb.Phase_JOINING: "joining", greppb.Phase_LEFT: "left"}

// membersJSON is what grepd members --json prints.
type membersJSON struct {
	Version uint64       `json:"version"`
	Digest  string       `json:"digest"`
	Self    string       `json:"self"`
	Live    bool         `json:"live"`
	Stale   bool         `json:"stale"`
	Phase   string       `json:"phase,omitempty"` // joining or left; the list may lack members
	Members []memberJSON `json:"members"`
}

func runMembers(c *cli.Context) error {
	if err := operands(c, 0); err != nil {
		return err
	}
	reply, err := ask(c, askTimeout, func(ctx context.Context, client greppb.AdminClient) (*greppb.MembersReply, error) {
		return client.Members(ctx, &greppb.MembersRequest{})
	})
	if err != nil {
		return err
	}
	slices.SortFunc(reply.Members, func(a, b greppb.Member) int { return compareAddrs(a.Addr, b.Addr) })
	if warning := listWarning(reply); warning != "" {
		fmt.Fprintln(c.App.ErrWriter, "grepd: "+warning)
	}
	if c.Bool(flagJSON) {
		return printJSON(c.App.Writer, membersToJSON(reply))
	}
	return printTable(c.App.Writer, "MEMBER\tSTATE\tSINCE\tINCARNATION", len(reply.Members), func(i int) []any {
		m := reply.Members[i]
		return []any{m.Addr, markGray(m), formatNanos(m.SinceUnixNanos), m.Incarnation}
	})
}

// markGray is a member's state in the table.
func markGray(m greppb.Member) string {
	if m.Gray {
		return m.State + ",gray"
	}
	return m.State
}

// listWarning says why a list may not be right; "" where it is.
func listWarning(reply *greppb.MembersReply) string {
	switch {
	case reply.Phase == greppb.Phase_JOINING:
		return "this machine is still joining: there may be members that it does not know"
	case reply.Phase == greppb.Phase_LEFT:
		return "this machine has left the group: the list is stale"
	case reply.Stale:
		return "the list is stale: the membership service is not running"
	}
	return ""
}

// compareAddrs orders addresses as numbers, and what is none as text.
func compareAddrs(a, b string) int {
	x, errX := netip.ParseAddrPort(a)
	y, errY := netip.ParseAddrPort(b)
	if errX != nil || errY != nil {
		return cmp.Compare(a, b)
	}
	return x.Compare(y)
}

func membersToJSON(reply *greppb.MembersReply) membersJSON {
	out := membersJSON{
		Version: reply.Version, Digest: fmt.Sprintf("%016x", reply.Digest), Self: reply.Self,
		Live: reply.Live, Stale: reply.Stale, Phase: phaseNames[reply.Phase], Members: []memberJSON{},
	}
	for _, m := range reply.Members {
		id := m.Addr
		if m.Incarnation != 0 {
			id = eventlog.FormatID(m.Addr, m.Incarnation)
		}
		out.Members = append(out.Members, memberJSON{
			id, m.Addr, m.Incarnation, m.State, formatNanos(m.SinceUnixNanos), m.Gray,
		})
	}
	return out
}

// pluginJSON is a row of grepd plugins --json.
type pluginJSON struct {
	Name       string `json:"name"`
	Version    string `json:"version"`
	APIVersion uint32 `json:"api_version"`
	Checksum   string `json:"checksum"`
	PID        int64  `json:"pid"`
	Since      string `json:"since"`
	Restarts   uint32 `json:"restarts"`
	LastExit   string `json:"last_exit"`
	State      string `json:"state"`
}

// grayJSON says of a gray member how many of its latest questions were answered.
type grayJSON struct {
	Since     string `json:"since"`
	Answers   uint32 `json:"answers"`
	Questions uint32 `json:"questions"`
}

// String is the value of the line in grepd status.
func (g *grayJSON) String() string {
	return fmt.Sprintf("since %s; %d of %d questions answered lately, too few to judge others",
		g.Since, g.Answers, g.Questions)
}

// statusJSON is what grepd status --json prints.
type statusJSON struct {
	ID         string            `json:"id"`
	Version    string            `json:"version"`
	Started    string            `json:"started"`
	PID        int64             `json:"pid"`
	Upgrades   uint32            `json:"upgrades"`
	Since      string            `json:"since"`
	Mounts     []string          `json:"mounts"`
	Membership string            `json:"membership"`
	Phase      string            `json:"phase,omitempty"`
	Leader     string            `json:"leader,omitempty"`
	Detail     string            `json:"detail,omitempty"`
	Warnings   []string          `json:"warnings,omitempty"`
	Gray       *grayJSON         `json:"gray,omitempty"`
	Counters   map[string]uint64 `json:"counters,omitempty"`
	Plugins    []pluginJSON      `json:"plugins"`
}

func askStatus(c *cli.Context) (*statusJSON, error) {
	if err := operands(c, 0); err != nil {
		return nil, err
	}
	reply, err := ask(c, askTimeout, func(ctx context.Context, client greppb.AdminClient) (*greppb.StatusReply, error) {
		return client.Status(ctx, &greppb.StatusRequest{})
	})
	if err != nil {
		return nil, err
	}
	s := &statusJSON{
		ID: reply.Id, Version: reply.Version, Started: formatNanos(reply.StartedUnixNanos), Mounts: reply.Mounts,
		PID: reply.Pid, Upgrades: reply.Upgrades, Since: formatNanos(reply.SinceUnixNanos),
		Membership: reply.Membership, Phase: reply.Phase, Leader: reply.Leader, Detail: reply.Detail, Warnings: reply.Warnings,
		Counters: make(map[string]uint64), Plugins: []pluginJSON{},
	}
	if g := reply.Gray; g != nil {
		s.Gray = &grayJSON{formatNanos(g.SinceUnixNanos), g.Answers, g.Questions}
	}
	for _, counter := range reply.Counters {
		s.Counters[counter.Name] = counter.Value
	}
	for _, p := range reply.Plugins {
		s.Plugins = append(s.Plugins, pluginToJSON(p))
	}
	return s, nil
}

func pluginToJSON(p greppb.Plugin) pluginJSON {
	return pluginJSON{
		Name: p.Name, Version: p.Version, APIVersion: p.ApiVersion, Checksum: p.Checksum, PID: p.Pid,
		Since: formatNanos(p.SinceUnixNanos), Restarts: p.Restarts, LastExit: p.LastExit, State: p.State,
	}
}

func runStatus(c *cli.Context) error {
	s, err := askStatus(c)
	if err != nil {
		return err
	}
	if c.Bool(flagJSON) {
		return printJSON(c.App.Writer, s)
	}
	return printStatus(c.App.Writer, s)
}

// printStatus prints what there is, a line each, the values in one column.
func printStatus(w io.Writer, s *statusJSON) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(table, "%s:\t%s\n", name, value)
		}
	}
	line("id", s.ID)
	line("version", s.Version)
	line("started", s.Started)
	if s.Upgrades > 0 {
		line("upgrades", fmt.Sprintf("%d since %s", s.Upgrades, s.Since))
	}
	if s.PID != 0 { // a daemon of an older version does not tell
		line("pid", fmt.Sprint(s.PID))
	}
	line("mounts", strings.Join(s.Mounts, ", "))
	line("membership", s.Membership)
	line("phase", s.Phase)
	line("leader", s.Leader)
	line("detail", s.Detail)
	if s.Gray != nil {
		line("gray", s.Gray.String())
	}
	for _, warning := range s.Warnings {
		line("warning", warning)
	}
	for _, name := range slices.Sorted(maps.Keys(s.Counters)) {
		line(name, fmt.Sprint(s.Counters[name]))
	}
	return table.Flush()
}

func runPlugins(c *cli.Context) error {
	s, err := askStatus(c)
	if err != nil {
		return err
	}
	if c.Bool(flagJSON) {
		return printJSON(c.App.Writer, s.Plugins)
	}
	return printTable(c.App.Writer, "NAME\tSTATE\tVERSION\tAPI\tCHECKSUM\tPID\tSINCE\tRESTARTS\tLAST EXIT", len(s.Plugins), func(i int) []any {
		p := s.Plugins[i]
		return []any{p.Name, p.State, orDash(p.Version), p.APIVersion, shortChecksum(p.Checksum), p.PID, p.Since, p.Restarts, orDash(p.LastExit)}
	})
}

func runLeave(c *cli.Context) error {
	if err := operands(c, 0); err != nil {
		return err
	}
	_, err := ask(c, changeTimeout, func(ctx context.Context, client greppb.AdminClient) (*greppb.LeaveReply, error) {
		return client.Leave(ctx, &greppb.LeaveRequest{})
	})
	return err
}

func runVersion(c *cli.Context) error {
	if err := operands(c, 0); err != nil {
		return err
	}
	reply := &greppb.VersionReply{Version: version.String(), Go: runtime.Version()}
	if c.IsSet(flagVia) {
		var err error
		reply, err = ask(c, askTimeout, func(ctx context.Context, client greppb.AdminClient) (*greppb.VersionReply, error) {
			return client.Version(ctx, &greppb.VersionRequest{})
		})
		if err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(c.App.Writer, "grepd %s (%s)\n", reply.Version, reply.Go)
	return err
}

func runReload(c *cli.Context) error {
	if err := operands(c, 1); err != nil {
		return err
	}
	names := c.Args().Slice()
	if len(names) == 0 {
		var err error
		if names, err = loadedPlugins(c); err != nil {
			return err
		}
	}
	var failed []error
	for _, name := range names {
		failed = append(failed, reloadPlugin(c, name))
	}
	return errors.Join(failed...)
}

// loadedPlugins asks the daemon for the names of its plugins. Where it has none, reloading
// the one without a name tells why.
func loadedPlugins(c *cli.Context) ([]string, error) {
	s, err := askStatus(c)
	if err != nil || len(s.Plugins) == 0 {
		return []string{""}, err
	}
	var names []string
	for _, p := range s.Plugins {
		names = append(names, p.Name)
	}
	return names, nil
}

func reloadPlugin(c *cli.Context, name string) error {
	reply, err := ask(c, changeTimeout, func(ctx context.Context, client greppb.AdminClient) (*greppb.ReloadPluginReply, error) {
		return client.ReloadPlugin(ctx, &greppb.ReloadPluginRequest{Name: name})
	})
	if err != nil {
		return err
	}
	p := pluginToJSON(reply.Plugin)
	_, err = fmt.Fprintf(c.App.Writer, "plugin %q: %s, checksum %s, pid %d\n", p.Name, p.State, shortChecksum(p.Checksum), p.PID)
	return err
}

func runUpgrade(c *cli.Context) error {
	if err := operands(c, 0); err != nil {
		return err
	}
	reply, err := ask(c, changeTimeout, func(ctx context.Context, client greppb.AdminClient) (*greppb.UpgradeReply, error) {
		return client.Upgrade(ctx, &greppb.UpgradeRequest{})
	})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.App.Writer, "grepd %s: pid %d in place of %d, which lets its queries end; plugins paused for %v\n",
		reply.Version, reply.Pid, reply.OldPid, time.Duration(reply.GapNanos).Round(10*time.Microsecond))
	return err
}

func printJSON(w io.Writer, value any) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(value)
}

// printTable prints a heading and rows, their columns aligned.
func printTable(w io.Writer, heading string, rows int, row func(i int) []any) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, heading)
	for i := range rows {
		cells := row(i)
		format := strings.TrimSuffix(strings.Repeat("%v\t", len(cells)), "\t") + "\n"
		fmt.Fprintf(table, format, cells...)
	}
	return errors.Join(table.Flush())
}

func formatNanos(unixNanos int64) string {
	return time.Unix(0, unixNanos).UTC().Format(time.RFC3339Nano)
}

func shortChecksum(hex string) string { return hex[:min(12, len(hex))] }

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}
