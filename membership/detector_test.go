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
