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
