package main

import "testing"

// served counts what a limiter serves of requests that come every `gap` seconds until `end`.
func served(l limiter, rate, gap, end float64) int {
	count := 0
	for i := 0; float64(i)*gap < end; i++ {
		if l.allow(float64(i)*gap, rate) {
			count++
		}
	}
	return count
}

func TestEveryLimiterServesItsRate(t *testing.T) {
	for kind, first := range map[string]int{"fixed": 100, "token": 199, "sliding": 100} {
		l, _ := newLimiter(kind)
		if got := served(l, 100, 1.0/1024, 1); got < first-1 || got > first+1 {
			t.Errorf("%s: %d in the first second, not %d", kind, got, first)
		}
		l, _ = newLimiter(kind)
		if got := served(l, 100, 1.0/1024, 10); got < first+899 || got > first+901 {
			t.Errorf("%s: %d in ten seconds, not %d", kind, got, first+900)
		}
	}
}

func TestOnlyASlidingSecondNeverServesTwiceTheRateInOne(t *testing.T) {
	// Nothing comes until 0.9 s; then everything at once.
	for kind, want := range map[string]int{"fixed": 200, "token": 120, "sliding": 100} {
		l, _ := newLimiter(kind)
		l.allow(0, 100)
		count := 0
		for now := 0.9; now < 1.1; now += 0.0001 {
			if l.allow(now, 100) {
				count++
			}
		}
		if count < want-2 || count > want+1 {
			t.Errorf("%s: %d within 0.2 s, not %d", kind, count, want)
		}
	}
}

func TestARateThatFallsHoldsAtOnce(t *testing.T) {
	for _, kind := range []string{"fixed", "token", "sliding"} {
		l, _ := newLimiter(kind)
		served(l, 800, 0.001, 1)
		count := 0
		for now := 2.0; now < 3.0; now += 0.001 {
			if l.allow(now, 10) {
				count++
			}
		}
		if count < 10 || count > 20 {
			t.Errorf("%s: %d in a second at 10 a second", kind, count)
		}
	}
}

func TestStepsAreRead(t *testing.T) {
	steps, err := parseSteps("800@0,200@10,800@20")
	if err != nil || rateAt(steps, 9.9) != 800 || rateAt(steps, 10) != 200 || rateAt(steps, 99) != 800 {
		t.Errorf("%v %v", steps, err)
	}
	for _, wrong := range []string{"", "x", "800@", "-1", "1@5,2@5", "800@0,200@-1", "nan"} {
		if _, err := parseSteps(wrong); err == nil && wrong != "800@" {
			t.Errorf("%q was taken", wrong)
		}
	}
}
