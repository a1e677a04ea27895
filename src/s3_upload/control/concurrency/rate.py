"""The rate that a store accepts: what refusals (503 SlowDown, 429) say. Pure.

A refusal says that a *rate* was too high, not that a path is congested: how many requests may be in flight is
left to the window.  Stores count in different ways (so many in each second, a bucket of tokens, so many in
any second).  All of them go on accepting what they allow, whatever they refuse besides, and all count over
about a second.  So the rate to keep is the one that was accepted in the last second.

Theory of operation.

1. *Open*: no limit is known and nothing is held back.
2. *Episode*: what was answered since a first refusal, at most LONG_S of it, or as much (up to MAX_QUIET_S)
   as has MIN_REFUSALS where their share is LOW.  With so many (fewer are strays) it ends in a *cut*, in each
   of three cases:

       share refused >= MOSTLY                  an allowance is used up
       share refused >= HIGH, after SHORT_S     more was sent than is allowed (or BRIEF_S and TOLD_REFUSED)
       share refused >= LOW, after LONG_S       the same, by less

   While no limit is known, and what is accepted still rises by RISING (the window grows), only the first
   counts.
3. *Cut*: the limit becomes ABOVE times what was accepted in the last second.  Requests sent before it say
   nothing new.  What is held to for the moment is less: what was accepted in the episode.  Each success
   brings that nearer to the limit, by RETURN_PER_S.  Where nothing was accepted the limit is a guess, and
   each success adds as much to it.  After a second cut within SAME_AFTER_S, by which less was accepted in the
   last second than by the first (FALLING), that second had what a bucket had saved up: the limit becomes
   what was accepted from cut to cut.
4. *Blocked*, after a cut for MOSTLY: what is held to is PROBE_SHARE of the limit, since all would be
   refused for the rest of a second, perhaps.  The first success that was sent after the last refusal
   doubles it (or makes it four times as much, while fewer than FEW are under way so), and so on up to the
   limit.  Late answers to what was sent before the cut add to the limit: they are of what was used up.
   What the store refuses for longer than a second, for whatever reason, is asked less and less
   (PROBE_DECAY each, down to MIN_PER_S).
5. *Settled*: a success adds GAIN to the limit, a refusal takes GAIN / TARGET from it, in requests per
   second.  So it settles where TARGET of the requests are refused, a little above what the store allows,
   with a time constant of TARGET / GAIN (3.6 s) whatever the rate.
6. *Growth*: no refusal for QUIET_S and two responses, and for as long as QUIET_REFUSALS would take
   if TARGET were refused (at most MAX_QUIET_S): the store allows more than before.  While requests wait for
   their turn, the limit grows every GROWTH_S and two responses, by GROWTH at first and then by MAX_GROWTH,
   but never beyond MOST_GROWTH times what a second has accepted.
7. *Open again*: nothing has had to wait, and nothing was refused, for REMEMBER_S.
8. *Not for the rate*: SERIES cuts in a row, none more than SERIES_S after the last, before each of which
   about as large a share was refused (SIMILAR), while what was accepted fell with what was sent: to less
   than FALLS of what it was two cuts before.  A store that limits a rate accepts the same after a cut.
   Such refusals do not depend on the rate: one request in twenty, say.  Their share is the *noise* from
   then on, nothing is held back for it, and other shares count by what they exceed it.
"""

from __future__ import annotations

import math
from collections import deque

MIN_REFUSALS = 8
MOSTLY, HIGH, LOW = 0.9, 0.1, 0.03
BRIEF_S, SHORT_S, LONG_S = 0.03, 0.1, 1.0
TOLD, TOLD_REFUSED = 16, 32
"""Accepted in an episode of SHORT_S, or in one of BRIEF_S with TOLD_REFUSED; of fewer the rate is chance, and
3 * SHORT_S are waited for."""
RISING, FALLING = 1.2, 0.99
ABOVE = 1.02
"""So that a little is refused from the start: where nothing is, nobody knows how much more is allowed."""
SAME, SAME_AFTER_S, SAME_WEIGHT = 0.1, 0.7, 0.1
"""A used-up allowance that seems smaller by less than SAME, a second after the last, is mostly the same: when
answers come is no exact measure of when the store counted."""
RETURN_PER_S = 5.0
MIN_GAP_S, MAX_GAP_S = 0.03, 0.15
PROBE_SHARE = 0.05
PROBE_DECAY = 0.9
FEW = 8
MIN_PER_S = 1.0
TARGET = 0.018
GAIN = 0.005
QUIET_S, MAX_QUIET_S, QUIET_REFUSALS = 1.2, 5.0, 3.7
"""More than the second in which many stores count: its refusals come at its end."""
GROWTH, MAX_GROWTH, MOST_GROWTH, GROWTH_S = 0.1, 0.2, 2.0, 0.1
REMEMBER_S = 10.0
SERIES, SERIES_S, SIMILAR, FALLS, MAX_NOISE = 5, 3.0, 0.7, 0.95, 0.9
CATCH_UP_S = 0.05
"""Turns that were not used for so long, and for a response, since this process was late, are made up for."""
BIN_S, BINS = 0.05, 20


class Tally:
    """Requests accepted and refused in the last second, in bins of BIN_S."""

    def __init__(self) -> None:
        self.until_s = BIN_S
        """When the open bin ends; whoever counts into it calls `roll` from then on."""
        self.accepted = 0
        self._past: deque[int] = deque([0] * BINS, maxlen=BINS)

    def roll(self, now: float) -> None:
        """Closes the bins that are over."""
        for _ in range(min(int((now - self.until_s) / BIN_S) + 1, BINS + 1)):
            self._past.append(self.accepted)
            self.accepted = 0
        self.until_s = (math.floor(now / BIN_S) + 1) * BIN_S

    def last_second(self, now: float) -> float:
        """How many were accepted in it."""
        if now >= self.until_s:
            self.roll(now)
        over = 1.0 - (self.until_s - now) / BIN_S  # of the oldest bin, what lies before the last second
        return self.accepted + sum(self._past) - over * self._past[0]

    def rising(self, now: float) -> bool:
        """Whether clearly more was accepted in the last quarter of it than in the one before."""
        if now >= self.until_s:
            self.roll(now)
        past = list(self._past)
        quarter = BINS // 4
        return sum(past[-quarter:]) > RISING * sum(past[-2 * quarter : -quarter])


class Share:
    """What became of requests since some moment."""

    def __init__(self, since_s: float) -> None:
        self.since_s = since_s
        self.accepted = self.refused = 0

    @property
    def refused_share(self) -> float:
        return self.refused / max(self.accepted + self.refused, 1)


class AcceptedRate:
    """The algorithm of the module's theory, for all requests that a store counts together.

    `limit_per_s`: requests that the store is taken to allow each second, MIN_PER_S at least, math.inf for no
    limit.  `now` is in
    seconds and only grows; `sent_s` is when a request began, on the same clock.
    """

    def __init__(self, limit_per_s: float = math.inf) -> None:
        self.limit_per_s = max(limit_per_s, MIN_PER_S)
        self.noise = 0.0
        self.blocked = False
        """Whether nothing is accepted at the moment (step 4)."""
        self._held_per_s = self.limit_per_s  # to what is held at the moment: the limit, or less
        self._next_s = -math.inf  # when the next request may begin
        self._waited_s = -math.inf  # when one last had to wait
        self._tally = Tally()
        self._episode: Share | None = None
        self._cut_s = -math.inf
        self._since_cut = 0  # accepted since then
        self._second_before = 0.0  # accepted in the second before it
        self._cut_per_s = 0.0  # what was accepted in the episode before it
        self._untold = False  # the last cut came before anything was accepted: the limit is a guess
        self._was_limited = False  # whether a limit was known when the last cut came
        self._used_up_per_s = 0.0  # what was accepted before the last cut
        self._return_s = -math.inf  # from when on what is held to returns to the limit
        self._refused_sent_s = -math.inf  # when the last of those refused was sent
        self._quiet_from_s = 0.0
        self._growth = GROWTH
        self._grow_s = 0.0
        self._response_s = 0.0
        self._series: deque[float] = deque(maxlen=SERIES)  # accepted before each of some cuts in a row
        self._series_share = 0.0  # and refused before the first of them

    @property
    def limited(self) -> bool:
        """Whether a limit is known."""
        return self.limit_per_s != math.inf

    def blocked_s(self, *, now: float) -> float:
        """For how long nothing has been accepted, 0.0 if that is not so."""
        return max(now - self._cut_s, 1e-9) if self.blocked else 0.0

    # --- whose turn it is: a virtual scheduling algorithm, as in ITU-T I.371 ---------------------------

    def take(self, *, now: float) -> bool:
        """Whether a request may begin now; if so, it counts as begun."""
        if now < self._next_s:
            self._waited_s = now
            return False
        self._next_s = self._from_s(now) + 1.0 / self._held_per_s
        return True

    def keeps_waiting(self, *, now: float) -> None:
        """Some still wait for their turn."""
        self._waited_s = now

    def give_back(self) -> None:
        """A request that was to begin does not."""
        self._next_s -= 1.0 / self._held_per_s

    def available(self, *, now: float) -> int:
        """How many may begin now."""
        if now < self._next_s:
            return 0
        return 1 + int((now - self._from_s(now)) * self._held_per_s)

    def due_s(self) -> float:
        """When the next one may begin."""
        return self._next_s

    def _from_s(self, now: float) -> float:
        return max(self._next_s, now - CATCH_UP_S - self._response_s)

    # --- what the store says -----------------------------------------------------------------------

    def accepted(self, *, sent_s: float, now: float) -> None:
        """A request has succeeded."""
        tally = self._tally
        if now >= tally.until_s:
            tally.roll(now)
        tally.accepted += 1
        self._since_cut += 1
        if self._episode is not None:
            self._episode.accepted += 1
            self._judge_episode(self._episode, now)
        if self.limit_per_s != math.inf:
            self._accepted_limited(sent_s, now)

    def refused(self, *, sent_s: float, now: float) -> None:
        """A request was refused for the rate."""
        self._quiet_from_s = now
        self._growth = GROWTH
        self._refused_sent_s = max(self._refused_sent_s, sent_s)
        if self.blocked:
            self._refused_blocked(now)
            return
        if sent_s < self._cut_s:
            return
        if self.limited:
            self.limit_per_s = max(self.limit_per_s - GAIN / TARGET, MIN_PER_S)
            self._held_per_s = min(self._held_per_s, self.limit_per_s)
        if self._episode is None:
            self._episode = Share(now)
        self._episode.refused += 1
        self._judge_episode(self._episode, now)

    def _accepted_limited(self, sent_s: float, now: float) -> None:
        self._response_s = now - sent_s
        self.limit_per_s += RETURN_PER_S if self._untold else GAIN
        if self.blocked:
            if sent_s > self._refused_sent_s:
                self._unblock(sent_s, now)
            elif sent_s < self._cut_s and now - self._cut_s < LONG_S and not self._untold:
                self.limit_per_s += ABOVE  # of what had been used up, its answer came late
        elif self._held_per_s < self.limit_per_s and sent_s > self._refused_sent_s and now >= self._return_s:
            self._held_per_s = min(self._held_per_s + RETURN_PER_S, self.limit_per_s)
        self._grow(now)

    # --- blocked: step 4 ------------------------------------------------------------------------------

    def _refused_blocked(self, now: float) -> None:
        if now - self._cut_s < LONG_S:
            # It was cut by what a second had accepted of which part was before the store allowed less.
            self.limit_per_s = max(min(self.limit_per_s, ABOVE * self._tally.last_second(now)), MIN_PER_S)
            self._held_per_s = max(PROBE_SHARE * self.limit_per_s, MIN_PER_S)
        else:
            self._held_per_s = max(PROBE_DECAY * self._held_per_s, MIN_PER_S)

    def _unblock(self, sent_s: float, now: float) -> None:
        probes = self._held_per_s * (self._response_s + GROWTH_S)
        self._held_per_s *= 4.0 if probes < FEW else 2.0  # of few it costs little to be wrong
        self._next_s = min(self._next_s, now + 1.0 / self._held_per_s)
        if self._held_per_s >= self.limit_per_s:
            gap_s = now - self._cut_s
            self._held_per_s, self._return_s = self.limit_per_s, now
            # How early an allowance was used up that nobody knew says nothing of how fast to go now.
            too_fast = self._was_limited or self._response_s > CATCH_UP_S
            if too_fast and gap_s > MIN_GAP_S:
                self._held_per_s = max(self._held_per_s * (1.0 - min(gap_s, MAX_GAP_S)), MIN_PER_S)
                self._return_s += LONG_S
            self.blocked = False
            # What could have been sent since the store began to accept again is made up for.
            self._next_s = min(self._next_s, max(sent_s, self._cut_s))
            self._quiet_from_s = self._return_s

    # --- cuts: steps 2, 3 and 8 -----------------------------------------------------------------------

    def _excess(self, share: float) -> float:
        """What a share of refusals exceeds the noise by."""
        return (share - self.noise) / (1.0 - self.noise)

    def _judge_episode(self, episode: Share, now: float) -> None:
        age_s = now - episode.since_s
        if episode.refused >= MIN_REFUSALS:
            share = self._excess(episode.refused_share)
            if share >= MOSTLY:
                self._cut(0.0, episode.refused_share, now)
                return
            enough = age_s >= SHORT_S or (episode.refused >= TOLD_REFUSED and age_s >= BRIEF_S)
            told = age_s >= 3.0 * SHORT_S or (enough and episode.accepted >= TOLD)
            over = (share >= HIGH and told) or (share >= LOW and age_s >= LONG_S)
            if over and (self.limited or not self._tally.rising(now)):
                self._cut(episode.accepted / age_s, episode.refused_share, now)
                return
        if age_s >= max(LONG_S, min(MIN_REFUSALS / (LOW * self.limit_per_s), MAX_QUIET_S)):
            self._episode = None

    def _cut(self, per_s: float, share: float, now: float) -> None:
        """`per_s`: what was accepted in the episode; 0.0: an allowance is used up."""
        pause_s = now - self._cut_s
        in_a_second = self._tally.last_second(now)
        accepted = max(in_a_second, per_s)
        before = self._used_up_per_s
        falls = in_a_second < FALLING * self._second_before
        if min(per_s, self._cut_per_s) > 0.0 and pause_s < SAME_AFTER_S and falls:
            accepted = min(accepted, max(per_s, self._since_cut / pause_s))
        self._second_before = in_a_second
        self._cut_per_s = per_s
        self._since_cut = 0
        if per_s == 0.0 and (1.0 - SAME) * before < accepted < before and pause_s > SAME_AFTER_S:
            accepted = (1.0 - SAME_WEIGHT) * before + SAME_WEIGHT * accepted
        self._used_up_per_s = accepted
        self._was_limited = self.limited
        self._untold = accepted < 2.0
        self.limit_per_s = max(min(self.limit_per_s, ABOVE * accepted), MIN_PER_S)
        self._held_per_s = min(max(per_s, PROBE_SHARE * self.limit_per_s, MIN_PER_S), self.limit_per_s)
        self.blocked = per_s == 0.0
        self._cut_s = now
        self._next_s = now + 1.0 / self._held_per_s
        self._episode = None
        self._judge_cut(per_s, share, pause_s)

    def _judge_cut(self, per_s: float, share: float, pause_s: float) -> None:
        """Step 8. `pause_s`: since the cut before."""
        if per_s == 0.0 or share < SIMILAR * self._series_share or pause_s > SERIES_S:
            self._series.clear()
            self._series_share = share
        self._series.append(per_s)
        if len(self._series) == SERIES and per_s < FALLS * self._series[-3]:
            self._series.clear()
            self.noise = min(share, MAX_NOISE)
            self._open()

    # --- more is allowed: steps 6 and 7 -----------------------------------------------------------------

    def _grow(self, now: float) -> None:
        quiet_s = now - self._quiet_from_s
        expected_s = min(QUIET_REFUSALS / (TARGET * self.limit_per_s), MAX_QUIET_S)
        if now < self._grow_s or quiet_s < max(QUIET_S + 2.0 * self._response_s, expected_s):
            return
        waited_s = now - self._waited_s
        if waited_s < max(GROWTH_S, 2.0 / self.limit_per_s):
            grown = min(self.limit_per_s * (1.0 + self._growth), MOST_GROWTH * self._tally.last_second(now))
            self.limit_per_s = self._held_per_s = max(self.limit_per_s, grown)
            self._growth = min(2.0 * self._growth, MAX_GROWTH)
            self._grow_s = now + max(GROWTH_S, min(TOLD / self.limit_per_s, 1.0)) + 2.0 * self._response_s
        elif min(waited_s, quiet_s) > REMEMBER_S:
            self._open()

    def _open(self) -> None:
        self.limit_per_s = self._held_per_s = math.inf
        self._next_s = -math.inf
        self.blocked = False
        self._episode = None
