package pluginhost

import (
	"slices"
)

// pairs are the stages of a reload that there are beside each stage of the plugin's work, as
// the package comment says.
var pairs = map[stage][]reloadStage{
	stopped:    {noReload, launching, starting},
	working:    {noReload, launching},
	ending:     {noReload, launching, launched},
	waiting:    {noReload, launching, starting},
	restarting: {noReload, launching, launched},
}

// checkStages checks, in the owner goroutine, that there is what the stages say, and no more.
func (r *rig) checkStages(h *Host) {
	r.t.Helper()
	if !slices.Contains(pairs[h.stage], h.reload.stage) {
		r.t.Errorf("stage %d is beside stage %d of a reload", h.stage, h.reload.stage)
	}
	for _, c := range []struct {
		what        string
		got, wanted bool
	}{
		{"a current instance", h.current != nil, h.stage == working},
		{"a dying instance", h.dying != nil, h.stage == ending},
		{"a restart", h.restart != nil, h.stage == restarting},
		{"calls for a reload", h.reload.calls != nil, h.reload.stage != noReload},
		{"a launch of a reload", h.reload.launch != nil, h.reload.stage == launching || h.reload.stage == starting},
		{"a launched instance", h.reload.next != nil, h.reload.stage == launched},
	} {
		if c.got != c.wanted {
			r.t.Errorf("in stage %d, and stage %d of a reload, there is %s: %t", h.stage, h.reload.stage, c.what, c.got)
		}
	}
	if state := h.Info().State; state != h.stage.state() {
		r.t.Errorf("in stage %d others are told %q", h.stage, state)
	}
}
