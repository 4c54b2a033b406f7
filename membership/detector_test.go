package membership

import (
	"testing"
	"time"
)

// TestQuestionsOfADoubtAreRemembered: the first question of a doubt, too, with as many monitors
// and helpers as there can be.
func TestQuestionsOfADoubtAreRemembered(t *testing.T) {
	node := testMember(t, 30)
	node.cfg.MaxFailures = maxFailuresMax
	node.followList()
	node.Ready()
	m := &node.detector.monitors[0]
	first, sent := node.seq+1, node.now.Mono
	for elapsed := time.Duration(0); elapsed < doubtWindow; elapsed += probeEvery {
		node.probe(m)
		node.now.Mono += probeEvery
	}
	if at, ok := m.asked.at(first); !ok || at != sent {
		t.Errorf("the first of %d questions was sent at %v (known: %t), want %v", node.seq-first+1, at, ok, sent)
	}
	if _, ok := m.asked.at(node.seq + 1); ok {
		t.Error("a question that was not asked is known")
	}
}

// TestNewsOfTheOverdueIsNotLateness: what a message makes due at once was not due before it, so
// the doubts that are under way go on.
func TestNewsOfTheOverdueIsNotLateness(t *testing.T) {
	node := testMember(t, 10)
	doubted, other := &node.detector.monitors[0], &node.detector.monitors[1]
	other.fresh = node.now.Mono + time.Hour
	run(node, node.bounds.Doubt+200*time.Millisecond)
	probes := doubted.probes
	if probes == 0 {
		t.Fatal("the silent member is not doubted")
	}
	other.fresh = node.now.Mono
	late := Message{Kind: Report, Sender: ID{testAddr(5), 1}, Target: other.target.ID, Stamp: time.Second, Age: time.Minute}
	node.Step(node.now, testAddr(5), &late)
	if wake := node.Wake(); wake > node.now.Mono {
		t.Errorf("it wants to be called in %v, want at once", wake-node.now.Mono)
	}
	node.Tick(node.now)
	if doubted.probes < probes {
		t.Errorf("%d probes count, want at least the %d of before", doubted.probes, probes)
	}
}

// TestRoundsBeginWhenTheStampTurnsOutOlder: a link's base delay is found to be shorter while a
// monitor waits, in doubt, for what its co-monitors know to be old as well.
func TestRoundsBeginWhenTheStampTurnsOutOlder(t *testing.T) {
	node := testMember(t, 10)
	m := &node.detector.monitors[0]
	run(node, node.bounds.Doubt)
	if !m.doubting {
		t.Fatal("the silent member is not doubted")
	}
	heard := node.now.Mono - 600*time.Millisecond
	m.stamp, m.fresh = 10*time.Second, heard
	m.base.add(heard-m.stamp, heard)
	node.reconsider(m)
	run(node, lonesMax*probeEvery)
	if m.rounds > 0 || node.probeDue(m) != m.fresh+node.bounds.Doubt {
		t.Fatalf("%d rounds, the next probe in %v; want to wait until others are to be asked", m.rounds, node.probeDue(m)-node.now.Mono)
	}
	const shorter = 300 * time.Millisecond
	m.heard(m.stamp-time.Second, heard-time.Second-shorter)
	if got, want := node.monitorDue(m), heard-shorter+node.bounds.Doubt; got != want {
		t.Errorf("others are asked %v after the stamp, want %v", got-m.fresh, want-m.fresh)
	}
	node.exit()
	run(node, node.Wake()-node.now.Mono)
	if m.rounds != 1 {
		t.Errorf("%d rounds, want the first", m.rounds)
	}
}

// TestRestoredLinkIsNotYoung: a link that was slow before a reload is slow after it, whatever
// co-monitors with better links report.
func TestRestoredLinkIsNotYoung(t *testing.T) {
	const slow, quick, at = 700 * time.Millisecond, 10 * time.Millisecond, time.Hour
	var young, restored baseDelay
	young.add(slow, at)
	restored.restore(slow, at)
	for _, b := range []*baseDelay{&young, &restored} {
		b.reports.take(quick, at)
		b.trips.take(quick, at)
	}
	if got := young.min(at + time.Second); got != quick {
		t.Errorf("the base delay of a young link is %v, want the %v that others report", got, quick)
	}
	if got := restored.min(at + time.Second); got != slow {
		t.Errorf("the base delay of a restored link is %v, want %v as before", got, slow)
	}
}

// TestDoubtForNothingEndsAgreement: a monitor that has doubted a member for nothing lately, which
// pauses then or has lost packets, waits for the deadline whatever its co-monitors say.
func TestDoubtForNothingEndsAgreement(t *testing.T) {
	node := testMember(t, 10)
	m := &node.detector.monitors[0]
	run(node, node.bounds.Doubt)
	for _, c := range node.monitorsOf(m.target) {
		m.agreeing = append(m.agreeing, c.Addr)
	}
	if !m.doubting || !node.agreed(m) {
		t.Fatal("the silent member is not doubted, or its monitors do not agree")
	}
	m.stamp, m.fresh = time.Second, node.now.Mono
	node.reconsider(m)
	ended := node.now.Mono
	if m.doubting {
		t.Fatal("the member that spoke is doubted still")
	}
	for _, c := range node.monitorsOf(m.target) {
		m.agreeing = append(m.agreeing, c.Addr)
	}
	for after, want := range map[time.Duration]bool{0: false, wrongedFor - 1: false, wrongedFor: true} {
		if node.now.Mono = ended + after; node.agreed(m) != want {
			t.Errorf("%v after a doubt for nothing they agree: %t, want %t", after, !want, want)
		}
	}
}

// A leaver tells those who take over, unasked, and that may have been long on its way: only what
// co-monitors answer shows how fresh the stamp is at least, be it the same one.
func TestAnAnswerFreshensWhatWasToldUnasked(t *testing.T) {
	const ms = time.Millisecond
	m := monitor{fresh: 8475 * ms} // just taken up
	m.told(0, 7269*ms, 1112*ms, 8496*ms)
	m.asked.add(28, 8684*ms)
	m.told(0, 8151*ms, 480*ms, 8740*ms)
	if want := 7384 * ms; m.fresh != want {
		t.Errorf("unasked: fresh at %v, want %v", m.fresh, want)
	}
	if news := m.told(28, 8151*ms, 541*ms, 8770*ms); !news || m.fresh != 8143*ms {
		t.Errorf("in answer: news %v, fresh at %v, want %v", news, m.fresh, 8143*ms)
	}
	if news := m.told(28, 8151*ms, 600*ms, 8840*ms); news || m.fresh != 8143*ms {
		t.Errorf("again: news %v, fresh at %v", news, m.fresh)
	}
}
