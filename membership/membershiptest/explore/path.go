package explore

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aksinghdce/cluster-membership-service/membership"
)

// Choice is one place where a run departs from the undisturbed one: everybody up, each packet a
// quantum under way, packets that come together taken in the order of their senders.
type Choice struct {
	At   time.Duration
	Verb string
	// What is a host (crash, pause, leave, restart), a host and the places of the packets that it
	// takes (order), or a packet (lose, late, twice): its sender, its receiver, and its place among
	// those that this one sends that one at this instant.
	What string
}

// The verbs of a Choice.
const (
	verbCrash   = "crash"
	verbLeave   = "leave"
	verbPause   = "pause"
	verbRestart = "restart"
	verbOrder   = "order"
	verbLose    = "lose"
	verbLate    = "late"  // with a delay: late250ms
	verbTwice   = "twice" // with the delay of the second copy
)

// String gives "instant:verb:what", without a space.
func (c Choice) String() string { return fmt.Sprintf("%v:%s:%s", c.At, c.Verb, c.What) }

// Path are the choices of a run, the earliest first. With the options of its search, it
// replays exactly.
type Path []Choice

// String gives the choices with commas between them; ParsePath reads that.
func (p Path) String() string {
	texts := make([]string, len(p))
	for i, c := range p {
		texts[i] = c.String()
	}
	return strings.Join(texts, ",")
}

// ErrPath says that a text is not a Path, or that a Path does not exist.
var ErrPath = errors.New("not a path of this exploration")

// ParsePath reads what Path.String wrote. Its error wraps ErrPath.
func ParsePath(text string) (Path, error) {
	var p Path
	if text == "" {
		return p, nil
	}
	for part := range strings.SplitSeq(text, ",") {
		fields := strings.SplitN(part, ":", 3)
		if len(fields) != 3 {
			return nil, fmt.Errorf("%w: %q, want instant:verb:what", ErrPath, part)
		}
		at, err := time.ParseDuration(fields[0])
		if err != nil {
			return nil, fmt.Errorf("%w: %q: %v", ErrPath, part, err)
		}
		p = append(p, Choice{at, fields[1], fields[2]})
	}
	if !slices.IsSortedFunc(p, func(a, b Choice) int { return int(a.At - b.At) }) {
		return nil, fmt.Errorf("%w: its instants are not in order", ErrPath)
	}
	return p, nil
}

// trail is a Path from its end. Runs that have departed at the same places share it.
type trail struct {
	before *trail
	choice Choice
	length int
}

func (t *trail) then(c Choice) *trail { return &trail{before: t, choice: c, length: t.len() + 1} }

func (t *trail) len() int {
	if t == nil {
		return 0
	}
	return t.length
}

func (t *trail) path() Path {
	var p Path
	for ; t != nil; t = t.before {
		p = append(p, t.choice)
	}
	slices.Reverse(p)
	return p
}

const port = 7117

// addrOf is the address of the host with this index, and indexOf its inverse, -1 for others.
func addrOf(index int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(index + 1)}), port)
}

func indexOf(addr netip.AddrPort) int {
	for i := range membersMax {
		if addr == addrOf(i) {
			return i
		}
	}
	return -1
}

func addrsOf(n int) []netip.AddrPort {
	addrs := make([]netip.AddrPort, n)
	for i := range addrs {
		addrs[i] = addrOf(i)
	}
	return addrs
}

// nameOf is a host's name in paths and transcripts.
func nameOf(index int) string { return "n" + strconv.Itoa(index) }

var idPattern = regexp.MustCompile(`10\.0\.0\.\d+:7117(@\d+)?`)

// readable puts names in the place of identities and addresses: n2 for the third host,
// n2#12.05s for what it is since it came back at that instant.
func readable(text string) string {
	return idPattern.ReplaceAllStringFunc(text, func(text string) string {
		if id, err := membership.ParseID(text); err == nil {
			return nameOfID(id)
		}
		if addr, err := netip.ParseAddrPort(text); err == nil {
			return nameOf(indexOf(addr))
		}
		return text
	})
}

func nameOfID(id membership.ID) string {
	since := time.Duration(id.Incarnation - uint64(epoch.UnixNano()))
	if since < warmUpBoots {
		return nameOf(indexOf(id.Addr))
	}
	return fmt.Sprintf("%s#%v", nameOf(indexOf(id.Addr)), since)
}
