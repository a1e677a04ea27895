package main

import (
	"encoding/json"
	"time"
)

// counts are what happened since the first request. Times are seconds since then.
type counts struct {
	first  time.Time
	admins int64

	Accepted      int64            `json:"accepted"`
	Refused       int64            `json:"refused"` // by the limiter
	Failed503     int64            `json:"failed_503"`
	Failed500     int64            `json:"failed_500"`
	Requests      map[string]int64 `json:"requests"`   // accepted, by operation
	PerSecond     [][2]int64       `json:"per_second"` // accepted, refused
	NowS          float64          `json:"now_s"`
	LastAcceptedS float64          `json:"last_accepted_s"`
	Connections   int64            `json:"connections"`
	Open          int64            `json:"open"`
	MaxOpen       int64            `json:"max_open"`
	InFlight      int64            `json:"in_flight"`
	MaxInFlight   int64            `json:"max_in_flight"`
	Objects       int64            `json:"objects"`
	Bytes         int64            `json:"bytes"`
	OpenUploads   int64            `json:"open_uploads"`
	Received      int64            `json:"received"` // bytes of bodies, also of those under way; without --md5
}

func (c *counts) now() float64 {
	if c.first.IsZero() {
		c.first = time.Now()
	}
	return time.Since(c.first).Seconds()
}

// note counts one request at `now`.
func (c *counts) note(now float64, accepted bool) {
	for int(now) >= len(c.PerSecond) {
		c.PerSecond = append(c.PerSecond, [2]int64{})
	}
	if accepted {
		c.Accepted++
		c.PerSecond[int(now)][0]++
		c.LastAcceptedS = now
	} else {
		c.Refused++
		c.PerSecond[int(now)][1]++
	}
}

func (s *store) stats() []byte {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	c := &s.counts
	if !c.first.IsZero() {
		c.NowS = time.Since(c.first).Seconds()
	}
	c.Objects, c.OpenUploads, c.Bytes = int64(len(s.objects)), int64(len(s.uploads)), 0
	c.Received = s.received.Load()
	for _, object := range s.objects {
		c.Bytes += object.size
	}
	text, _ := json.Marshal(c)
	return text
}
