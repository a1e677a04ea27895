package main

import (
	"fmt"
	"math"
	"sort"
	"strconv"
	"strings"
)

// A limiter decides whether a request that comes at `now` (seconds) may be served, at `rate` a second.
type limiter interface {
	allow(now, rate float64) bool
}

func newLimiter(kind string) (limiter, error) {
	switch kind {
	case "fixed":
		return &fixedWindow{}, nil
	case "token":
		return &tokenBucket{}, nil
	case "sliding":
		return &slidingLog{}, nil
	}
	return nil, fmt.Errorf("--limit %s: must be fixed, token or sliding", kind)
}

// fixedWindow serves `rate` requests in each whole second.
type fixedWindow struct {
	second float64
	served float64
}

func (l *fixedWindow) allow(now, rate float64) bool {
	if second := math.Floor(now); second != l.second {
		l.second, l.served = second, 0
	}
	if l.served >= rate {
		return false
	}
	l.served++
	return true
}

// tokenBucket has `rate` tokens a second come in and holds those of one second. It begins full.
type tokenBucket struct {
	begun  bool
	tokens float64
	at     float64
}

func (l *tokenBucket) allow(now, rate float64) bool {
	if !l.begun {
		l.begun, l.tokens, l.at = true, rate, now
	}
	l.tokens = math.Min(rate, l.tokens+(now-l.at)*rate)
	l.at = now
	if l.tokens < 1 {
		return false
	}
	l.tokens--
	return true
}

// slidingLog serves `rate` requests within any one second.
type slidingLog struct {
	served []float64
}

func (l *slidingLog) allow(now, rate float64) bool {
	old := sort.SearchFloat64s(l.served, math.Nextafter(now-1, math.Inf(1)))
	if float64(len(l.served)-old) >= rate {
		return false
	}
	l.served = append(l.served[old:], now) // append moves the rest to a new array when this one is full
	return true
}

// A step is a rate and the second from which it holds.
type step struct{ at, rate float64 }

// parseSteps reads "800" or "800@0,200@10,800@20".
func parseSteps(text string) ([]step, error) {
	var steps []step
	for _, word := range strings.Split(text, ",") {
		rate, at, _ := strings.Cut(word, "@")
		if at == "" {
			at = "0"
		}
		r, errRate := strconv.ParseFloat(rate, 64)
		a, errAt := strconv.ParseFloat(at, 64)
		if errRate != nil || errAt != nil || !(r >= 0) || !(a >= 0) || (len(steps) > 0 && a <= steps[len(steps)-1].at) {
			return nil, fmt.Errorf("--rate %s: %q is no RATE or RATE@SECOND, or not after the one before", text, word)
		}
		steps = append(steps, step{a, r})
	}
	return steps, nil
}

// rateAt is what holds at `now`; 0 for no limit.
func rateAt(steps []step, now float64) float64 {
	rate := 0.0
	for _, step := range steps {
		if step.at <= now {
			rate = step.rate
		}
	}
	return rate
}
