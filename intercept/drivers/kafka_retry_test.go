package drivers

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"faultbox/intercept"
	"faultbox/protocols/kafka"
)

// TestKafkaRetries: idempotent producers whose connection breaks again and
// again send once more what they have not heard of, while messages are lost and
// doubled. None vanishes that was not dropped, none is stored twice that was not
// doubled.
func TestKafkaRetries(t *testing.T) {
	b := newKafkaBed(t)
	const count = 300
	for _, c := range kafkaClients(t) {
		if c.pipeline == nil || c.name == "kcat" { // it may end when no broker is connected
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			Struck(t, kafka.Protocol, b.direct, c.name, "idempotent, in flight: resets after the broker has stored, drops and duplicates")
			topic := b.topic(t, 2)
			reset, lose, twice := kafkaRule(t, intercept.Reset, "topic", topic, "method", "Produce"), kafkaRule(t, intercept.Lose, "topic", topic, "method", "Produce"), kafkaRule(t, intercept.Twice, "topic", topic, "method", "Produce")
			reset.Fault.When = intercept.After
			reset.Trigger, lose.Trigger, twice.Trigger = intercept.Trigger{Prob: 0.04, Times: 6}, intercept.Trigger{Prob: 0.2}, intercept.Trigger{Prob: 0.1}
			b.arm(t, reset, lose, twice)
			told := c.pipeline(t, b.fronted, topic, count)
			if told[len(told)-1] != "all sent" {
				t.Errorf("the client was told %q", told)
			}
			b.log.Wait(t, "for each message", func(*intercept.Event) bool {
				seen := map[string]bool{}
				for _, ev := range b.events(topic) {
					seen[ev.Text] = true
				}
				return len(seen) == count
			})
			dropped, doubled, resets := map[string]bool{}, map[string]bool{}, 0
			for _, ev := range b.events(topic) {
				line := ev.Text + "=v" + ev.Text[1:]
				dropped[line] = dropped[line] || slices.ContainsFunc(ev.Decision.Rules, func(a *intercept.ActiveRule) bool { return a.Fault.Do == intercept.Lose })
				doubled[line] = doubled[line] || slices.ContainsFunc(ev.Decision.Rules, func(a *intercept.ActiveRule) bool { return a.Fault.Do == intercept.Twice })
				if ev.Outcome == intercept.WasReset {
					resets++
				}
			}
			if resets == 0 {
				t.Error("no reset")
			}
			stored := map[string]int{}
			for _, line := range strings.Fields(values(b.stored(t, topic, true))) {
				stored[line]++
			}
			for i := range count {
				line := "k" + strconv.Itoa(i) + "=v" + strconv.Itoa(i)
				switch n := stored[line]; {
				case n == 0 && !dropped[line]:
					t.Errorf("%s is not stored, and was not dropped", line)
				case n > 1 && !doubled[line], n > 2:
					t.Errorf("%s is stored %d times", line, n)
				}
			}
		})
	}
}
