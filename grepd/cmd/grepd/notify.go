package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/notifyhost"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/pluginhost"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/roster"
	"github.com/aksinghdce/cluster-membership-service/shared/eventlog"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/notifypb"
)

// Flags of the notify plugin.
const (
	flagNotifyExec    = "notify-exec"
	flagNotifyWebhook = "notify-webhook"
	flagNotifyHeaders = "notify-header-file"
	flagNotifyOn      = "notify-on"
	flagNotifyAll     = "notify-all"
)

// What may be secret is not on the command line, which everybody on the machine can read.
const (
	envNotifyWebhook = "GREPD_NOTIFY_WEBHOOK"
	envNotifyHeader  = "GREPD_NOTIFY_HEADER"
)

// notifyFlags are the flags of the daemon that are about notifications.
func notifyFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: flagNotifyExec, Usage: "`COMMAND` to run on a failure: a program and its arguments, or a JSON array of them"},
		&cli.StringFlag{Name: flagNotifyWebhook, EnvVars: []string{envNotifyWebhook}, Usage: "`URL` to post a failure to"},
		&cli.StringFlag{Name: flagNotifyHeaders, Usage: "`FILE` of headers for that, a line \"Name: value\" each; also one in $" + envNotifyHeader},
		&cli.StringSliceFlag{Name: flagNotifyOn, DefaultText: string(eventlog.Fail), Usage: "`EVENT,...` to notify of"},
		&cli.BoolFlag{Name: flagNotifyAll, Usage: "notify of whatever this machine sees, although others do too"},
	}
}

// notifyOptions reads what is to be notified; nil where nothing is.
func notifyOptions(c *cli.Context) (*notifypb.Config, error) {
	n := &notifypb.Config{
		Webhook: c.String(flagNotifyWebhook), HeaderFile: c.String(flagNotifyHeaders),
		Events: c.StringSlice(flagNotifyOn), All: c.Bool(flagNotifyAll),
	}
	if c.IsSet(flagNotifyExec) {
		var err error
		if n.Command, err = parseCommand(c.String(flagNotifyExec)); err != nil {
			return nil, fmt.Errorf("--%s: %w", flagNotifyExec, err)
		}
		n.Environment = variables("PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ")
	}
	if len(n.Command) == 0 && n.Webhook == "" {
		for _, name := range []string{flagNotifyWebhook, flagNotifyHeaders, flagNotifyOn, flagNotifyAll} {
			if c.IsSet(name) {
				return nil, fmt.Errorf("--%s means nothing without a --%s or a --%s", name, flagNotifyExec, flagNotifyWebhook)
			}
		}
		return nil, nil
	}
	if !c.Bool(flagMembership) {
		return nil, fmt.Errorf("notifications are of what the membership service sees; start it with --%s", flagMembership)
	}
	if len(n.Events) == 0 {
		n.Events = []string{string(eventlog.Fail)}
	}
	if header := os.Getenv(envNotifyHeader); header != "" {
		n.Headers = []string{header}
	}
	if n.HeaderFile != "" {
		var err error
		if n.HeaderFile, err = filepath.Abs(n.HeaderFile); err != nil { // the plugin's directory is another
			return nil, err
		}
	}
	return n, nil
}

// parseCommand reads a program and its arguments, and finds the program.
func parseCommand(text string) (argv []string, err error) {
	if strings.HasPrefix(strings.TrimSpace(text), "[") {
		if err := json.Unmarshal([]byte(text), &argv); err != nil {
			return nil, fmt.Errorf("%s: not a JSON array of words: %w", text, err)
		}
	} else {
		argv = strings.Fields(text)
	}
	if len(argv) == 0 || argv[0] == "" {
		return nil, errors.New("it names no program")
	}
	if argv[0], err = exec.LookPath(argv[0]); err != nil {
		return nil, err
	}
	argv[0], err = filepath.Abs(argv[0])
	return argv, err
}

// variables are those of this process's environment that are set, of these.
func variables(names ...string) (set []string) {
	for _, name := range names {
		if value, ok := os.LookupEnv(name); ok {
			set = append(set, name+"="+value)
		}
	}
	return set
}

// notifyConfig is how the notify plugin runs beside a membership service with that roster.
func (d *daemon) notifyConfig(members *roster.Roster) notifyhost.Config {
	start := *d.options.notify
	start.LogDir = d.options.logDir
	return notifyhost.Config{
		Dir: d.options.pluginDir, Roster: members, Start: start,
		Env: variables("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR"),
		Log: func(level slog.Level, attrs ...slog.Attr) {
			d.log.Write(level, eventlog.Plugin, d.nodeName(), "", attrs...)
		},
	}
}

// nodeName is how this node is called in the log.
func (d *daemon) nodeName() string {
	if d.membership == nil {
		return d.self.String()
	}
	return d.membership.Node()
}

// startNotify starts the notify plugin, or in a daemon that takes over gets it ready.
func (d *daemon) startNotify(ctx context.Context) (err error) {
	if d.options.notify == nil {
		return nil
	}
	if heir := d.succession.heir; heir != nil {
		cfg := d.notifyConfig(d.prepared.Roster())
		cfg.Presence = heir.Presence
		if d.preparedNotify, err = notifyhost.Prepare(ctx, cfg); err != nil {
			return err
		}
		d.undo(func() {
			if d.notify == nil {
				d.preparedNotify.End()
			} else {
				d.notify.Stop()
			}
		})
		return nil
	}
	if d.notify, err = notifyhost.Start(ctx, d.notifyConfig(d.membership.Roster())); err != nil {
		return err
	}
	d.undo(d.notify.Stop)
	return nil
}

// plugin is a plugin under its host.
type plugin interface {
	Info() pluginhost.Info
	Reload(context.Context) (pluginhost.Info, error)
}

// plugins are those that run here.
func (d *daemon) plugins() (plugins []plugin) {
	if d.membership != nil {
		plugins = append(plugins, d.membership)
	}
	if d.notify != nil {
		plugins = append(plugins, d.notify)
	}
	return plugins
}
