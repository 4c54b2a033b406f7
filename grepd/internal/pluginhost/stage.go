package pluginhost

// stage is how far the plugin's work, or a restart of it, has come. Each but the two ends is
// left by an event of its own. The package comment draws it.
type stage int

const (
	stopped    stage = iota // not begun, or retired
	working                 // current is at work
	ending                  // dying crashed or hung, and is being ended
	waiting                 // for the time of the next restart, or for a reload that is starting
	restarting              // restart is a launch, after which the process is to be at work
	handedOver              // to another daemon's host; it ends the owner goroutine
)

// state is what others are told.
func (s stage) state() State {
	switch s {
	case stopped:
		return Stopped
	case working:
		return Running
	case handedOver:
		return HandedOver
	default:
		return Restarting
	}
}

// reloadStage is how far a reload has come, which goes on beside the plugin's work. The
// package comment draws it, and says which pairs of stages there are.
type reloadStage int

const (
	noReload  reloadStage = iota // none is under way
	launching                    // the program is copied and launched
	launched                     // it waits for a restart to end, or for its time
	starting                     // it is set to work, with none to replace
)
