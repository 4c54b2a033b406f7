package membershiptest

import (
	"bytes"
	"cmp"
	"flag"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/aksinghdce/cluster-membership-service/membership"
)

var (
	seedFlag   = flag.Uint64("seed", 1, "the seed of random tests")
	trialsFlag = flag.Int("trials", 300, "how many trials TestTrials runs")
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestTrials is the promise of the protocol: of members that crash, some list has each
// within 2 s and all lists within 6 s, and nobody else is declared failed.
// go test -run TestTrials -trials 2000 is the run to make before a change is trusted.
func TestTrials(t *testing.T) {
	options := FullRange
	options.MembersMin, options.MembersMax, options.LossMax = 4, 200, 0.05
	trials := *trialsFlag
	if testing.Short() {
		trials = min(trials, 20)
	}
	var summary Summary
	Each(*seedFlag, trials, runtime.GOMAXPROCS(0),
		func(seed uint64) Result { return Trial(seed, options) },
		summary.Add)
	t.Log(&summary)
	for _, r := range summary.Broken {
		t.Errorf("%v\n%v", r, r.Report.Violations[0])
	}
	if summary.Crashes < trials {
		t.Errorf("%d crashes were noticed in %d trials of at least one each", summary.Crashes, trials)
	}
}

// TestSeedsThatBrokeAPromise are those that long runs came across.
func TestSeedsThatBrokeAPromise(t *testing.T) {
	for _, seed := range []uint64{
		4_393,     // two are left, with spikes between them and a newcomer that they do not know yet
		36_928,    // a newcomer did not take note of its admission
		44_903,    // too few helpers were asked
		57_564,    // the last monitor left, and its only link had spikes
		57_906,    // the last monitor asked the same helper twice, and so too few
		77_916,    // a leaver's report aged the stamp that the co-monitors answered with
		69_781,    // the last monitor left, and told of it what it knew before it was known to leave
		2_999,     // the reports of a monitor that left were lost, and came seldom
		17_849,    // a report showed a stamp to be older than thought, and did not count
		27_459,    // a monitor that left did not judge whom it had doubted before
		67_924,    // ... nor when it left just before its deadline
		77_744,    // a monitor left while it waited for the last moment
		82_362,    // likewise
		2_000_780, // a monitor that had heard nothing counted a delayed report as fresh
		1_007_152, // all that two members had heard of each other was delayed
		1_011_085, // a young link, disturbed from the first, was taken for a slow one
	} {
		if r := Trial(seed, FullRange); r.Broken() {
			t.Errorf("%v\n%v", r, r.Report.Violations[0])
		}
	}
}

// TestChaosEndsInPeace: whatever was done to a cluster, it becomes one group again.
func TestChaosEndsInPeace(t *testing.T) {
	runs := *trialsFlag / 10
	if testing.Short() {
		runs = min(runs, 3)
	}
	var summary Summary
	chaos := func(seed uint64) Result { return Chaos(seed, nil) }
	Each(*seedFlag, runs, runtime.GOMAXPROCS(0), chaos, summary.Add)
	for _, r := range summary.Broken {
		t.Errorf("seed %d, %d members: %v", r.Seed, r.Members, r.Report.Violations[0])
	}
}

// TestJoinBurst: 200 newcomers in one second are admitted without a storm, and without
// anybody being taken for dead.
func TestJoinBurst(t *testing.T) {
	const newcomers = 200
	// The leading gateway gives each of them the list, up to ten pages of it, a welcome, and
	// some answers; nobody else has nearly as much to send.
	sim := New(Options{Seed: *seedFlag, Clocks: WildClocks, PacketsMax: 16 * newcomers})
	sim.Form(100)
	sim.Run(5 * time.Second)
	for i := range newcomers {
		sim.After(time.Duration(i)*time.Second/newcomers, func() { sim.Start(1) })
	}
	sim.Run(time.Second)
	sim.RunUntilJoined(joinWithin)
	t.Logf("all joined after %v, at most %d packets a second", sim.Now()-5*time.Second, sim.Traffic().PeakPackets)
	sim.Run(spreadWithin)
	sim.CheckLists()
	if r := sim.Report(); r.Broken > 0 {
		t.Error(r.Violations[0])
	}
	if got := sim.Node(0).Alive(); got != 300 {
		t.Errorf("%d members, want 300", got)
	}
}

// TestNobodyIsDeclaredFailedAtTenPercentLoss runs a few hundred member-hours.
func TestNobodyIsDeclaredFailedAtTenPercentLoss(t *testing.T) {
	testNoFalseFail(t, FalseFailOptions{Members: 50, Loss: 0.10, For: 2 * time.Hour})
}

// TestShortPausesHarmNobody: also not among so few that heartbeats come too often to be
// doubted when a clock has stood still.
func TestShortPausesHarmNobody(t *testing.T) {
	for _, members := range []int{2, 3, 50} {
		testNoFalseFail(t, FalseFailOptions{
			Members: members, For: time.Hour, Pauses: time.Second, PauseMax: time.Second,
		})
	}
}

func testNoFalseFail(t *testing.T, options FalseFailOptions) {
	if testing.Short() {
		options.For = 2 * time.Minute
	}
	r := FalseFails(*seedFlag, options)
	t.Logf("seed %d: %.0f member-hours, %d false failures", r.Seed, r.MemberHours(), r.Report.FalseFails)
	for _, v := range r.Report.Violations {
		t.Errorf("seed %d: %v", r.Seed, v)
	}
	if want := float64(options.Members) * options.For.Hours(); r.MemberHours() < 0.99*want {
		t.Errorf("members were up for %.1f hours of %.1f", r.MemberHours(), want)
	}
}

// TestOneGrayMemberCondemnsNobody: a member with lossy links does not hear enough to judge, and
// does not.
func TestOneGrayMemberCondemnsNobody(t *testing.T) {
	runs := 3
	if testing.Short() {
		runs = 1
	}
	for _, direction := range GrayDirections {
		for _, loss := range []float64{0.7, 0.85, 0.95} {
			options := GrayOptions{Members: 30, For: 2 * time.Minute}
			options.Gray, _ = GrayIn(direction, loss)
			var summary Summary
			gray := func(seed uint64) Result { return GrayFails(seed, options) }
			Each(*seedFlag, runs, runtime.GOMAXPROCS(0), gray, summary.Add)
			for _, r := range summary.Broken {
				t.Errorf("seed %d, %.0f %% %s: %v", r.Seed, 100*loss, direction, r.Report.Violations[0])
			}
		}
	}
}

// TestGrayMemberCostsTheOthersLittle: it is declared failed and comes back, which each of a large
// group is told once, and not as often as an acknowledgement does not reach it.
func TestGrayMemberCostsTheOthersLittle(t *testing.T) {
	options := GrayOptions{Members: 300, For: 2 * time.Minute}
	options.Gray, _ = GrayIn("both", 0.95)
	for seed := range uint64(4) {
		r := GrayFails(seed, options)
		for _, v := range r.Report.Violations {
			t.Errorf("seed %d: %v", seed, v)
		}
		if got := r.Report.Traffic.BytesPerSecond(); got > 170 {
			t.Errorf("seed %d: %.1f B/s a member, want at most 170", seed, got)
		}
	}
}

// TestCrashesBesideAGrayMemberAreFoundInTime: also where it is the last monitor left.
func TestCrashesBesideAGrayMemberAreFoundInTime(t *testing.T) {
	trials := *trialsFlag / 40
	if testing.Short() {
		trials = min(trials, 4)
	}
	for _, direction := range GrayDirections {
		for _, loss := range []float64{0.6, 0.75, 0.9} {
			options := GrayOptions{Members: 30, Crashes: 3}
			options.Gray, _ = GrayIn(direction, loss)
			var summary Summary
			crash := func(seed uint64) Result { return GrayCrash(seed, options) }
			Each(*seedFlag, trials, runtime.GOMAXPROCS(0), crash, summary.Add)
			for _, r := range summary.Broken {
				t.Errorf("seed %d, %.0f %% %s: %v", r.Seed, 100*loss, direction, r.Report.Violations[0])
			}
			if summary.Crashes < trials {
				t.Errorf("%d crashes in %d trials", summary.Crashes, trials)
			}
		}
	}
}

// TestOtherBoundsHold: what counts questions over time does so in proportion to the bound. As many
// crash as may, in groups of which that may be nearly all.
func TestOtherBoundsHold(t *testing.T) {
	for _, failures := range []int{1, 2, 3, 8} {
		for _, within := range []time.Duration{1200 * time.Millisecond, 2 * time.Second, 10 * time.Second, time.Minute} {
			for _, members := range []int{2, 3, 6, 8, 12, 30} {
				crashed := min(failures, members-1)
				first := firstListsOf(*seedFlag, members, crashed, func(_ int, c *membership.Config) {
					c.MaxFailures, c.DetectWithin, c.SpreadWithin = failures, within, within+10*time.Second
				})
				if len(first) != crashed || slices.Max(first) > within {
					t.Errorf("%d of %d crash, within %v: first lists after %v", crashed, members, within, first)
				}
			}
		}
	}
}

// firstListsOf has neighbours crash, and returns when the first list had each, of those that one
// has.
func firstListsOf(seed uint64, members, crashed int, configure func(int, *membership.Config)) (first []time.Duration) {
	sim := New(Options{Seed: seed, Clocks: WildClocks, Unbounded: true, Configure: configure})
	sim.Form(members)
	bounds, _ := sim.Node(0).Bounds(0)
	sim.Run(3 * bounds.Detect)
	sim.Crash(sim.Ring()[:crashed]...)
	sim.Run(4*bounds.Detect + spreadWithin)
	for _, c := range sim.Report().Changes {
		if c.Crashed && c.Lists > 0 {
			first = append(first, c.First)
		}
	}
	return first
}

// TestTrafficIsFlat measures the quiet phase: what a member sends must not depend on how
// many there are.
func TestTrafficIsFlat(t *testing.T) {
	const bytesMax, spread = 135, 0.05
	var least, most float64
	sizes := []int{10, 100, 1000}
	if testing.Short() {
		sizes = sizes[:2]
	}
	for _, n := range sizes {
		sim := New(Options{Seed: *seedFlag, Clocks: WildClocks})
		sim.Form(n)
		sim.Run(5 * time.Second)
		sim.ResetTraffic()
		sim.Run(time.Minute)
		got := sim.Traffic().BytesPerSecond()
		t.Logf("%d members: %.1f B/s, %.2f packets/s", n, got, sim.Traffic().PacketsPerSecond())
		if got > bytesMax {
			t.Errorf("each of %d members sends %.1f B/s, want at most %d", n, got, bytesMax)
		}
		if least == 0 {
			least, most = got, got
		}
		least, most = min(least, got), max(most, got)
	}
	if most > least*(1+spread) {
		t.Errorf("members send %.1f to %.1f B/s, depending on how many there are", least, most)
	}
}

// TestSeedReplays compares transcripts to the byte.
func TestSeedReplays(t *testing.T) {
	transcript := func() string {
		var b bytes.Buffer
		options := FullRange
		options.Members, options.Crashes = 30, 3
		options.Adjust = func(o *Options) { o.Transcript, o.Messages = &b, true }
		Trial(*seedFlag, options)
		return b.String()
	}
	first, second := transcript(), transcript()
	if first != second {
		t.Errorf("seed %d gave two different transcripts", *seedFlag)
	}
	if len(first) < 1000 {
		t.Errorf("the transcript is only %d bytes long", len(first))
	}
}

// TestWatchingChangesNothing compares a run with a transcript to one without.
func TestWatchingChangesNothing(t *testing.T) {
	options := FullRange
	options.Members = 30
	plain := Trial(*seedFlag, options)
	options.Adjust = func(o *Options) { o.Transcript, o.Record = &bytes.Buffer{}, true }
	watched := Trial(*seedFlag, options)
	if plain.Report.String() != watched.Report.String() {
		t.Errorf("seed %d: %v\nwith a transcript: %v", *seedFlag, plain.Report, watched.Report)
	}
}

func TestEachHandsResultsOverInOrder(t *testing.T) {
	const n = 1000
	var got []uint64
	Each(5, n, 4, func(seed uint64) Result {
		if seed%7 == 0 {
			runtime.Gosched()
		}
		return Result{Seed: seed}
	}, func(r Result) { got = append(got, r.Seed) })
	if len(got) != n || !slices.IsSorted(got) || got[0] != 5 {
		t.Errorf("got %d results, the first %d", len(got), got[0])
	}
}

// TestQueueIsASort compares the heap with a stable sort.
func TestQueueIsASort(t *testing.T) {
	r := rand.New(rand.NewPCG(*seedFlag, 0))
	var q queue
	var want []event
	for range 1000 {
		for range r.IntN(5) {
			at, kind := time.Duration(r.IntN(50)), eventKind(r.IntN(int(eventKindEnd)))
			q.push(at, kind, 0)
			want = append(want, event{at: at, kind: kind, order: uint64(kind)<<orderKindShift | q.pushed})
		}
		if len(want) == 0 || r.IntN(3) == 0 {
			continue
		}
		slices.SortStableFunc(want, func(a, b event) int {
			return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.kind, b.kind))
		})
		if got := q.pop(); got != want[0] {
			t.Fatalf("seed %d: popped %+v, want %+v", *seedFlag, got, want[0])
		}
		want = want[1:]
	}
}

func TestClockFindsTheFirstInstant(t *testing.T) {
	r := rand.New(rand.NewPCG(*seedFlag, 0))
	for range 10_000 {
		c := WildClocks.draw(r)
		mono := c.monoOffset + uniform(r, 1, 200*time.Hour)
		at := c.when(mono)
		if c.now(at).Mono < mono || at > 0 && c.now(at-1).Mono >= mono {
			t.Fatalf("seed %d: %+v shows %v at %v, %v a nanosecond before; want the first instant of %v",
				*seedFlag, c, c.now(at).Mono, at, c.now(at-1).Mono, mono)
		}
	}
}

func TestAddressesHaveIndices(t *testing.T) {
	for _, index := range []int{0, 1, 255, 256, 65_536, 1<<24 - 1} {
		if got := indexOf(addrOf(index)); got != index {
			t.Errorf("host %d has address %v, which is host %d's", index, addrOf(index), got)
		}
	}
	for _, text := range []string{"11.0.0.1:7117", "10.0.0.1:7118", "[::1]:7117"} {
		if got := indexOf(netip.MustParseAddrPort(text)); got != -1 {
			t.Errorf("%s is host %d's, want nobody's", text, got)
		}
	}
}

// TestResumedHostAccusesNobody: a monitor that has slept finds its deadlines passed, and in
// its socket the packets that prove the others to be up.
func TestResumedHostAccusesNobody(t *testing.T) {
	for _, d := range []time.Duration{pauseMax, 2 * time.Second, time.Minute} {
		sim := New(Options{Seed: *seedFlag})
		sim.Form(8)
		sim.Run(5 * time.Second)
		sim.Pause(3)
		sim.Run(d)
		sim.Resume(3)
		sim.Run(settleWithin)
		for _, c := range sim.Report().Changes {
			if c.State == membership.Failed && c.Host != 3 {
				t.Errorf("after a pause of %v: %v", d, c)
			}
		}
	}
}

// TestGatewayWithoutStateFindsItsGroup: the only gateway of a group comes back without its
// state file, and founds another group. The two merge.
func TestGatewayWithoutStateFindsItsGroup(t *testing.T) {
	for name, stop := range map[string]func(*Sim, ...int){"leave": (*Sim).Leave, "crash": (*Sim).Crash} {
		t.Run(name, func(t *testing.T) {
			sim := New(Options{Seed: 3, Gateways: 1})
			sim.Form(6)
			sim.Run(3 * time.Second)
			stop(sim, 0)
			sim.Run(10 * time.Second)
			sim.hosts[0].stateFile = nil
			sim.Restart(0)
			if !sim.Settle(20 * time.Second) {
				t.Errorf("%d alive in the gateway's list, %d in another member's; want 6", sim.Node(0).Alive(), sim.Node(1).Alive())
			}
		})
	}
}

// TestSocketBufferOverflows: what does not fit into the buffer of a paused host is lost.
func TestSocketBufferOverflows(t *testing.T) {
	sim := New(Options{Seed: *seedFlag})
	sim.Form(2)
	sim.Pause(1)
	sim.Run(time.Hour)
	h := sim.hosts[1]
	if h.backlogBytes > socketBytesMax || h.backlogBytes < socketBytesMax/2 {
		t.Errorf("the buffer holds %d bytes, want just under %d", h.backlogBytes, socketBytesMax)
	}
}

// TestNetworkLosesItsShare counts what arrives over one link.
func TestNetworkLosesItsShare(t *testing.T) {
	const n = 20_000
	for _, tt := range []struct {
		name      string
		network   Network
		low, high float64 // of the packets that arrive, to those that are sent
	}{
		{"faultless", LAN, 1, 1},
		{"loss", Network{Loss: 0.2}, 0.78, 0.82},
		{"duplicates", Network{Duplicate: 0.2}, 1.18, 1.22},
	} {
		sim := New(Options{Seed: *seedFlag, Network: tt.network})
		sim.addHost()
		sim.addHost()
		arrived := 0
		for range n {
			p := sim.newPacket()
			sim.packets[p].from, sim.packets[p].to = 0, 1
			sim.dispatch(p)
		}
		for range sim.queue.heap {
			arrived++
		}
		if share := float64(arrived) / n; share < tt.low || share > tt.high {
			t.Errorf("%s: %.3f of the packets arrive, want %.2f to %.2f", tt.name, share, tt.low, tt.high)
		}
	}
}

func TestDelayIsOfTheLink(t *testing.T) {
	sim := New(Options{Seed: *seedFlag, Network: Network{LatencyMin: time.Millisecond, LatencyMax: time.Second}})
	there, back := linkKey{1, 2}, linkKey{2, 1}
	first := sim.fate.delay(0, there, nil)
	if again := sim.fate.delay(time.Hour, there, nil); again != first {
		t.Errorf("a link without jitter takes %v, later %v", first, again)
	}
	if other := sim.fate.delay(0, back, nil); other == first {
		t.Errorf("both directions take %v, want each its own", first)
	}
	if slow := sim.fate.delay(0, there, &Link{Latency: 3 * time.Second}); slow != 3*time.Second {
		t.Errorf("a slow link takes %v, want 3s", slow)
	}
}

func TestPartitionPartsAndHeals(t *testing.T) {
	sim := New(Options{Seed: *seedFlag})
	sim.Form(5)
	sim.Partition([]int{0, 1}, []int{2})
	for _, tt := range []struct {
		from, to int
		want     bool
	}{{0, 1, false}, {0, 2, true}, {2, 0, true}, {3, 4, false}, {3, 0, true}} {
		if got := sim.parted(tt.from, tt.to); got != tt.want {
			t.Errorf("%d and %d parted: %t, want %t", tt.from, tt.to, got, tt.want)
		}
	}
	sim.Heal()
	if sim.parted(0, 2) {
		t.Error("0 and 2 are parted after healing")
	}
}

// TestSpikesComeAndGo: a link that has spikes is quick in about every other second.
func TestSpikesComeAndGo(t *testing.T) {
	sim := New(Options{Seed: *seedFlag, Network: Network{SpikeLinks: 0.1, SpikeMax: spikeMax}})
	spiky, spiking := 0, 0
	const links, periods = 2000, 10
	for to := range links {
		key := linkKey{0, to}
		if !sim.fate.spiky(key) {
			continue
		}
		spiky++
		for i := range periods {
			if sim.fate.spiking(time.Duration(i)*spikePeriod, key) {
				spiking++
			}
		}
	}
	if share := float64(spiky) / links; share < 0.07 || share > 0.13 {
		t.Errorf("%.3f of the links have spikes, want 0.1", share)
	}
	if share := float64(spiking) / float64(spiky*periods); share < 0.45 || share > 0.55 {
		t.Errorf("they spike %.3f of the time, want half", share)
	}
}

// BenchmarkQuietSecond is one second of 200 members, quiet.
func BenchmarkQuietSecond(b *testing.B) {
	sim := New(Options{Seed: 1})
	sim.Form(200)
	sim.Run(5 * time.Second)
	b.ReportAllocs()
	for b.Loop() {
		sim.Run(time.Second)
	}
}

// TestNewcomersAreQuietWhenAllIsQuiet: members that came into a group which others had
// crashed out of used to go on watching members that sent them no heartbeats.
func TestNewcomersAreQuietWhenAllIsQuiet(t *testing.T) {
	sim := New(Options{Seed: *seedFlag, Gateways: 1})
	sim.Start(10)
	for crashed := 1; crashed < 12; crashed += 3 {
		sim.Run(10 * time.Second)
		sim.Crash(crashed, crashed+1, crashed+2)
		sim.Run(10 * time.Second)
		sim.Start(3)
	}
	sim.Run(10 * time.Second)
	sim.ResetTraffic()
	sim.Run(time.Minute)
	if probes := sim.Traffic().Packets[membership.Probe]; probes > 0 {
		t.Errorf("%d probes though nobody is silent", probes)
	}
	sim.CheckLists()
	wantNone(t, sim)
}

// TestReloadAtAnyMomentBreaksNoBound crashes members, and has everyone else go on from its own
// snapshot at some moment of the detection, as a recording begins.
func TestReloadAtAnyMomentBreaksNoBound(t *testing.T) {
	random := newRand(*seedFlag, 0)
	trials := 60
	if testing.Short() {
		trials = 10
	}
	for trial := range uint64(trials) {
		sim := New(Options{Seed: *seedFlag + trial, Clocks: WildClocks})
		members := 4 + random.IntN(40)
		sim.Network.Loss = 0.1 * random.Float64()
		sim.Form(members)
		sim.Run(5 * time.Second)
		for i := range members {
			switch at := time.Duration(random.Int64N(int64(2500 * time.Millisecond))); {
			case i < 3:
				sim.After(at/50, func() { sim.Crash(i) })
			default:
				sim.After(at, func() { sim.Reload(i, 0) })
			}
		}
		sim.Run(15 * time.Second)
		sim.CheckLists()
		r := sim.Report()
		if found := len(r.Crashes()); r.Broken > 0 || found != 3 {
			t.Errorf("-seed %d, trial %d: %d members, %.1f %% lost: %d crashes found, broken: %v",
				*seedFlag, trial, members, 100*sim.Network.Loss, found, r.Violations)
		}
	}
}
