"""The rate that a store accepts, learned from its refusals (503 SlowDown, 429). Pure.

A refusal says that a *rate* was too high, not that a path is congested.  So the window decides how many
requests are in flight, and this decides how many begin each second.  Stores count in different ways: so many
in each second, a bucket of tokens, so many in any second.  All of them accept what they allow, whatever they
refuse besides, and all count over about a second.  So the right rate is what was accepted in the last second.

Theory of operation (names in backticks are fields of `Tuning`).

1. *Open*: no limit is known, and nothing is held back.
2. *Episode*: the requests answered since a first refusal.  It lasts for `long_s`, or, if that is longer, for
   as long as `min_refusals` take at a share of `low` (at most `max_quiet_s`).  With so many refusals (fewer
   are strays) it ends in a *cut* in three cases:

       share refused >= mostly                  an allowance is used up
       share refused >= high, after short_s     more was sent than is allowed (or brief_s and told_refused)
       share refused >= low, after long_s       the same, by less

   While no limit is known and the accepted rate still grows by `rising` (the window grows), only the first
   case counts.
3. *Cut*: the limit becomes `above` times what was accepted in the last second.  Requests sent before the cut
   say nothing new.  The *held* rate is lower for the moment: what was accepted in the episode.  Each success
   raises it by `return_per_s`, up to the limit.  If nothing was accepted, the limit is a guess, and each
   success adds as much to it.  A second cut within `same_after_s` may find less accepted in the last second
   than the first did (`falling`).  Then that second still had what a bucket had saved up, and the limit
   becomes what was accepted from cut to cut.
4. *Blocked*, after a cut for `mostly`: the held rate is `probe_share` of the limit, since the store may
   refuse everything for the rest of a second.  The first success that was sent after the last refusal doubles
   the held rate (or quadruples it, with fewer than `few` requests under way), and so on up to the limit.
   Late answers to requests from before the cut add to the limit: they belong to what was used up.  If the
   store refuses for longer than a second, for whatever reason, each refusal multiplies the held rate by
   `probe_decay`, down to `min_per_s`.
5. *Settled*: a success adds `gain` to the limit, a refusal subtracts `gain` / `target`, in requests per
   second.  So the share refused settles at `target`, a little above what the store allows, with a time
   constant of `target` / `gain` (2.4 s) at any rate.
6. *Growth*: the store allows more than before if nothing was refused for `quiet_s` and two responses, and for
   as long as `quiet_refusals` would take if `target` were refused (at most `max_quiet_s`).  While requests
   wait for their turn, the limit then grows every `growth_s` and two responses, by `growth` at first and
   later by up to `max_growth`, but never beyond `most_growth` times what a second has accepted.
7. *Open again*: nothing had to wait and nothing was refused for `remember_s`.
8. *Not for the rate*: a store that limits a rate accepts the same after a cut.  Here `series` cuts come in a
   row, at most `series_s` apart, each after about the same share of refusals (`similar`), and the accepted
   rate falls with the sent rate, below `falls` of what it was two cuts before.  Such refusals do not depend
   on the rate: one request in twenty, say.  Their share is the *noise* from then on.  Nothing is held back
   for it, and other shares count by how much they exceed it.
"""

from __future__ import annotations

import math
from collections import deque

import msgspec


class Tuning(msgspec.Struct, frozen=True):
    """The constants of the module's theory. Rates are in requests per second."""

    min_refusals: int = 8
    """An episode needs this many refusals for a cut (step 2): fewer are strays."""
    mostly: float = 0.9
    """An allowance is used up if at least this share is refused (step 2)."""
    high: float = 0.1
    """From this share refused on, more is sent than allowed, after short_s (step 2)."""
    low: float = 0.03
    """The same after long_s (step 2)."""
    brief_s: float = 0.03
    """An episode with told_refused refusals has to last this many seconds (step 2)."""
    short_s: float = 0.1
    """Any other episode has to last this many seconds (step 2)."""
    long_s: float = 1.0
    """The longest episode, in seconds (step 2): stores count over about a second."""
    told: int = 16
    """An episode in which fewer than this many were accepted has to last 3 * short_s, or its rate is chance
    (step 2)."""
    told_refused: int = 32
    """This many refusals say as much in brief_s as fewer in short_s (step 2)."""
    rising: float = 1.2
    """The accepted rate still rises if a quarter of a second has this many times the one before (step 2)."""
    falling: float = 0.99
    """Less was accepted than before the last cut if it is less than this share of that (step 3)."""
    above: float = 1.02
    """The limit is this many times what was accepted (step 3). So a little is refused from the start: without
    refusals nobody knows how much more is allowed."""
    same: float = 0.1
    """A used-up allowance that seems smaller by less than this share is mostly the same as the last: the
    times of answers do not say exactly when the store counted."""
    same_after_s: float = 0.7
    """The two have to be this many seconds apart, about a second."""
    same_weight: float = 0.1
    """The weight of the new measurement in that case."""
    return_per_s: float = 5.0
    """Each success brings the held rate this much nearer to the limit (step 3)."""
    min_gap_s: float = 0.03
    """An allowance used up less than this many seconds too early was nearly right (step 4)."""
    max_gap_s: float = 0.05
    """No more than this many seconds count as too early (step 4)."""
    probe_share: float = 0.05
    """The held rate while all is refused, as a share of the limit (step 4)."""
    probe_decay: float = 0.9
    """Each refusal multiplies it by this once long_s is over (step 4)."""
    few: int = 8
    """With fewer requests than this under way a success quadruples it, else it doubles (step 4)."""
    min_per_s: float = 1.0
    """The lowest limit and the lowest held rate."""
    target: float = 0.012
    """The share of the requests refused in the long run (step 5)."""
    gain: float = 0.005
    """Each success adds this to the limit (step 5)."""
    quiet_s: float = 1.1
    """The limit grows only after this many seconds without a refusal (step 6). Many stores count whole
    seconds and refuse at their ends, so it is more than one."""
    max_quiet_s: float = 5.0
    """The longest wait for a refusal that is due, in seconds (steps 2 and 6)."""
    quiet_refusals: float = 2.5
    """This many expected refusals have to be missing (step 6): by chance that happens in exp(-2.5), 8 %, of
    the cases."""
    growth: float = 0.15
    """The limit grows by this share at first (step 6)."""
    max_growth: float = 0.4
    """The limit grows by this share at the most (step 6)."""
    most_growth: float = 2.0
    """The limit never grows beyond this many times what a second has accepted (step 6)."""
    growth_s: float = 0.1
    """Two growths are at least this many seconds apart (step 6)."""
    remember_s: float = 10.0
    """The limit is dropped after this many seconds without a wait and without a refusal (step 7)."""
    series: int = 5
    """This many cuts in a row show that refusals do not depend on the rate (step 8)."""
    series_s: float = 3.0
    """Two of them are at most this many seconds apart (step 8)."""
    similar: float = 0.7
    """Each refused at least this many times the share of the first (step 8)."""
    falls: float = 0.95
    """The accepted rate has to fall below this share of what it was two cuts before (step 8)."""
    max_noise: float = 0.9
    """The largest noise assumed, as a share (step 8)."""
    catch_up_s: float = 0.05
    """Turns that passed unused within this many seconds and a response are made up for: this process was
    late."""
    bin_s: float = 0.05
    """Accepted requests are counted in bins of this many seconds."""
    bins: int = 20
    """The number of bins in a second."""


DEFAULT = Tuning()


class Tally:
    """Requests accepted and refused in the last second, in bins of bin_s."""

    def __init__(self, tuning: Tuning) -> None:
        self._tuning = tuning
        self.until_s = tuning.bin_s
        """When the open bin ends; whoever counts into it calls `roll` from then on."""
        self.accepted = 0.0
        self._past: deque[float] = deque([0.0] * tuning.bins, maxlen=tuning.bins)

    def roll(self, now: float) -> None:
        """Closes the bins whose time is over."""
        tuning = self._tuning
        for _ in range(min(int((now - self.until_s) / tuning.bin_s) + 1, tuning.bins + 1)):
            self._past.append(self.accepted)
            self.accepted = 0.0
        self.until_s = (math.floor(now / tuning.bin_s) + 1) * tuning.bin_s

    def scale(self, factor: float) -> None:
        """All counts become so many times what they were."""
        self.accepted *= factor
        self._past = deque([count * factor for count in self._past], maxlen=self._tuning.bins)

    def last_second(self, now: float) -> float:
        """How many requests were accepted in the last second."""
        if now >= self.until_s:
            self.roll(now)
        # A part of the oldest bin lies before the last second.
        over = 1.0 - (self.until_s - now) / self._tuning.bin_s
        return self.accepted + sum(self._past) - over * self._past[0]

    def rising(self, now: float) -> bool:
        """Whether clearly more was accepted in the last quarter of the second than in the one before."""
        if now >= self.until_s:
            self.roll(now)
        past = list(self._past)
        quarter = self._tuning.bins // 4
        return sum(past[-quarter:]) > self._tuning.rising * sum(past[-2 * quarter : -quarter])


class Share:
    """How many requests were accepted and refused since a moment."""

    def __init__(self, since_s: float) -> None:
        self.since_s = since_s
        self.accepted = self.refused = 0

    @property
    def refused_share(self) -> float:
        return self.refused / max(self.accepted + self.refused, 1)


class Cut(msgspec.Struct):
    """The last cut (step 3), at `at_s`.

    `since`: accepted since then; `second_before`: in the second before; `per_s`: in the episode before, 0.0
    where an allowance was used up; `used_up_per_s`: what the limit was made of.  `untold`: nothing was
    accepted, so the limit is a guess.  `was_limited`: a limit was known before.
    """

    at_s: float = -math.inf
    since: float = 0.0
    second_before: float = 0.0
    per_s: float = 0.0
    used_up_per_s: float = 0.0
    untold: bool = False
    was_limited: bool = False


class Series:
    """Cuts in a row (step 8): what was accepted before each, and refused before the first of them."""

    def __init__(self, tuning: Tuning) -> None:
        self._tuning = tuning
        self._accepted: deque[float] = deque(maxlen=tuning.series)
        self._share = 0.0

    def shows_noise(self, per_s: float, share: float, pause_s: float) -> bool:
        """Adds a cut, `pause_s` after the one before. Whether refusals do not depend on the rate."""
        tuning = self._tuning
        if per_s == 0.0 or share < tuning.similar * self._share or pause_s > tuning.series_s:
            self._accepted.clear()
            self._share = share
        self._accepted.append(per_s)
        # The accepted rate falls with the sent rate, so these refusals do not depend on the rate.
        if len(self._accepted) < tuning.series or per_s >= tuning.falls * self._accepted[-3]:
            return False
        self._accepted.clear()
        return True


class Growth(msgspec.Struct):
    """Steps 6 and 7: the next is by `share`, from `at_s` on. `quiet_from_s`: nothing was refused since."""

    share: float
    at_s: float = 0.0
    quiet_from_s: float = 0.0


class AcceptedRate:
    """The algorithm of the module's theory, for all requests that a store counts together.

    `limit_per_s`: requests that the store is taken to allow each second, min_per_s at least, math.inf for no
    limit.  `now` is in seconds and only grows; `sent_s` is when a request began, on the same clock.
    """

    def __init__(self, limit_per_s: float = math.inf, tuning: Tuning = DEFAULT) -> None:
        self._tuning = tuning
        self.limit_per_s = max(limit_per_s, tuning.min_per_s)
        self.noise = 0.0
        self.blocked = False
        """Whether nothing is accepted at the moment (step 4)."""
        self._held_per_s = self.limit_per_s  # to what is held at the moment: the limit, or less
        self._next_s = -math.inf  # when the next request may begin
        self._waited_s = -math.inf  # when one last had to wait
        self._tally = Tally(tuning)
        self._episode: Share | None = None
        self._last = Cut()
        self._return_s = -math.inf  # from when on what is held to returns to the limit
        self._refused_sent_s = -math.inf  # when the last of those refused was sent
        self._growth = Growth(tuning.growth)
        self._response_s = 0.0
        self._series = Series(tuning)

    @property
    def limited(self) -> bool:
        """Whether a limit is known."""
        return self.limit_per_s != math.inf

    def blocked_s(self, *, now: float) -> float:
        """For how many seconds nothing has been accepted; 0.0 if not blocked."""
        return max(now - self._last.at_s, 1e-9) if self.blocked else 0.0

    # --- whose turn it is: a virtual scheduling algorithm, as in ITU-T I.371 ---------------------------

    def take(self, *, now: float) -> bool:
        """Whether a request may begin now; if so, it counts as begun."""
        if now < self._next_s:
            self._waited_s = now
            return False
        self._next_s = self._from_s(now) + 1.0 / self._held_per_s
        return True

    def keeps_waiting(self, *, now: float) -> None:
        """Notes that requests still wait for their turn."""
        self._waited_s = now

    def give_back(self) -> None:
        """Takes back a `take` whose request did not begin."""
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
        return max(self._next_s, now - self._tuning.catch_up_s - self._response_s)

    # --- what the store says -----------------------------------------------------------------------

    def accepted(self, *, sent_s: float, now: float) -> None:
        """A request has succeeded."""
        tally = self._tally
        if now >= tally.until_s:
            tally.roll(now)
        tally.accepted += 1
        self._last.since += 1
        if self._episode is not None:
            self._episode.accepted += 1
            self._judge_episode(self._episode, now)
        if self.limit_per_s != math.inf:
            self._accepted_limited(sent_s, now)

    def refused(self, *, sent_s: float, now: float) -> None:
        """A request was refused for the rate."""
        tuning = self._tuning
        self._growth.quiet_from_s = now
        self._growth.share = tuning.growth
        self._refused_sent_s = max(self._refused_sent_s, sent_s)
        if self.blocked:
            self._refused_blocked(now)
            return
        # The request was sent before the cut, at the old rate.
        if sent_s < self._last.at_s:
            return
        if self.limited:
            self.limit_per_s = max(self.limit_per_s - tuning.gain / tuning.target, tuning.min_per_s)
            self._held_per_s = min(self._held_per_s, self.limit_per_s)
        if self._episode is None:
            self._episode = Share(now)
        self._episode.refused += 1
        self._judge_episode(self._episode, now)

    def _accepted_limited(self, sent_s: float, now: float) -> None:
        tuning = self._tuning
        self._response_s = now - sent_s
        self.limit_per_s += tuning.return_per_s if self._last.untold else tuning.gain
        if self.blocked:
            if sent_s > self._refused_sent_s:
                self._unblock(sent_s, now)
            # A late answer to a request from before the cut: it belongs to the allowance that was used up.
            elif sent_s < self._last.at_s and now - self._last.at_s < tuning.long_s and not self._last.untold:
                self.limit_per_s += tuning.above
        elif self._held_per_s < self.limit_per_s and sent_s > self._refused_sent_s and now >= self._return_s:
            self._held_per_s = min(self._held_per_s + tuning.return_per_s, self.limit_per_s)
        self._grow(now)

    # --- blocked: step 4 ------------------------------------------------------------------------------

    def _refused_blocked(self, now: float) -> None:
        tuning = self._tuning
        if now - self._last.at_s < tuning.long_s:
            # The cut counted a second that had begun before the store allowed less: count again.
            limit_per_s = min(self.limit_per_s, tuning.above * self._tally.last_second(now))
            self.limit_per_s = max(limit_per_s, tuning.min_per_s)
            self._held_per_s = max(tuning.probe_share * self.limit_per_s, tuning.min_per_s)
        else:
            self._held_per_s = max(tuning.probe_decay * self._held_per_s, tuning.min_per_s)

    def _unblock(self, sent_s: float, now: float) -> None:
        tuning = self._tuning
        probes = self._held_per_s * (self._response_s + tuning.growth_s)
        # With few probes under way an error costs little.
        self._held_per_s *= 4.0 if probes < tuning.few else 2.0
        self._next_s = min(self._next_s, now + 1.0 / self._held_per_s)
        if self._held_per_s >= self.limit_per_s:
            gap_s = now - self._last.at_s
            self._held_per_s, self._return_s = self.limit_per_s, now
            # If no limit was known before the cut, its moment says nothing about the right rate.
            too_fast = self._last.was_limited or self._response_s > tuning.catch_up_s
            if too_fast and gap_s > tuning.min_gap_s:
                held_per_s = self._held_per_s * (1.0 - min(gap_s, tuning.max_gap_s))
                self._held_per_s = max(held_per_s, tuning.min_per_s)
                self._return_s += tuning.long_s
            self.blocked = False
            # Requests that could have gone since the store accepts again go now.
            self._next_s = min(self._next_s, max(sent_s, self._last.at_s))
            self._growth.quiet_from_s = self._return_s

    # --- cuts: steps 2, 3 and 8 -----------------------------------------------------------------------

    def _judge_episode(self, episode: Share, now: float) -> None:
        tuning = self._tuning
        age_s = now - episode.since_s
        if episode.refused >= tuning.min_refusals:
            share = (episode.refused_share - self.noise) / (1.0 - self.noise)  # what exceeds the noise
            if share >= tuning.mostly:
                self._cut(0.0, episode.refused_share, now)
                return
            many = episode.refused >= tuning.told_refused
            enough = age_s >= (tuning.brief_s if many else tuning.short_s)
            told = age_s >= 3.0 * tuning.short_s or (enough and episode.accepted >= tuning.told)
            over = (share >= tuning.high and told) or (share >= tuning.low and age_s >= tuning.long_s)
            # While no limit is known and the accepted rate rises, the window is still growing: wait.
            if over and (self.limited or not self._tally.rising(now)):
                self._cut(episode.accepted / age_s, episode.refused_share, now)
                return
        # At a low rate enough refusals take longer than long_s.
        needed_s = tuning.min_refusals / (tuning.low * self.limit_per_s)
        if age_s >= max(tuning.long_s, min(needed_s, tuning.max_quiet_s)):
            self._episode = None

    def _cut(self, per_s: float, share: float, now: float) -> None:
        """Step 3. `per_s`: the rate accepted in the episode; 0.0 means that an allowance is used up."""
        tuning, last = self._tuning, self._last
        pause_s = now - last.at_s
        in_a_second = self._tally.last_second(now)
        accepted = max(in_a_second, per_s)
        before = last.used_up_per_s
        # Soon after a cut the last second may still have what a bucket had saved up; the time since the cut
        # has not.
        falls = in_a_second < tuning.falling * last.second_before
        if min(per_s, last.per_s) > 0.0 and pause_s < tuning.same_after_s and falls:
            accepted = min(accepted, max(per_s, last.since / pause_s))
        nearly_same = (1.0 - tuning.same) * before < accepted < before
        if per_s == 0.0 and nearly_same and pause_s > tuning.same_after_s:
            accepted = (1.0 - tuning.same_weight) * before + tuning.same_weight * accepted
        self._last = Cut(
            now,
            second_before=in_a_second,
            per_s=per_s,
            used_up_per_s=accepted,
            # One or two accepted requests make no rate.
            untold=accepted < 2.0,
            was_limited=self.limited,
        )
        self.limit_per_s = max(min(self.limit_per_s, tuning.above * accepted), tuning.min_per_s)
        held_per_s = max(per_s, tuning.probe_share * self.limit_per_s, tuning.min_per_s)
        self._held_per_s = min(held_per_s, self.limit_per_s)
        self.blocked = per_s == 0.0
        self._next_s = now + 1.0 / self._held_per_s
        self._episode = None
        if self._series.shows_noise(per_s, share, pause_s):
            self.noise = min(share, tuning.max_noise)
            self._open()

    # --- more is allowed: steps 6 and 7 -----------------------------------------------------------------

    def _grow(self, now: float) -> None:
        tuning = self._tuning
        quiet_s = now - self._growth.quiet_from_s
        per_s = self._counted_per_s()
        expected_s = min(tuning.quiet_refusals / (tuning.target * per_s), tuning.max_quiet_s)
        if now < self._growth.at_s or quiet_s < max(tuning.quiet_s + 2.0 * self._response_s, expected_s):
            return
        waited_s = now - self._waited_s
        # A higher limit matters only if requests wait for their turn.
        if waited_s < max(tuning.growth_s, 2.0 / self.limit_per_s):
            most = tuning.most_growth * self._tally.last_second(now)
            grown = min(self.limit_per_s * (1.0 + self._growth.share), most)
            self.limit_per_s = self._held_per_s = max(self.limit_per_s, grown)
            self._growth.share = min(2.0 * self._growth.share, tuning.max_growth)
            told_s = min(tuning.told / per_s, 1.0)
            self._growth.at_s = now + max(tuning.growth_s, told_s) + 2.0 * self._response_s
        elif min(waited_s, quiet_s) > tuning.remember_s:
            self._open()

    def _counted_per_s(self) -> float:
        """How many answers a second say whether the store allows more."""
        return self.limit_per_s

    def _open(self) -> None:
        self.limit_per_s = self._held_per_s = math.inf
        self._next_s = -math.inf
        self.blocked = False
        self._episode = None
