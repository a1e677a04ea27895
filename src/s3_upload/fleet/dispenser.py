"""Hands out the sources of one job to several processes: whoever has room takes more.

Rules:

* All take from one stream, in its order, as they need it, whatever each is capable of.  What one has at a
  time (`Hand`) is bounded by count and bytes, and is soon done.
* When the stream is over, who has much gives back what it has not begun (`too_many`), for whoever has little:
  so all end at about the same time.
* What cannot travel (streams, bytes in memory, what is not to be uploaded) stays in the process that has it.
  While WAIT_COUNT of these, or LOOK_BYTES, wait for it there, the others take nothing of the stream: it may
  be one that opens or makes what it gives.
* When a process ends before its time, what it had is handed out once more, to other processes of the fleet.
  What was in the hands of two that ended is handed out apart from all else, in ever smaller groups
  (`_suspects`).  Who ends with one source alone in hand has found the culprit.
* The stream is over for the process at home when nobody has anything any more: until then it may come back.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice

import msgspec

from s3_upload.sources.files import PULL_BUDGET_S, PULL_BYTES
from s3_upload.sources.source import Bunches, ObjectSource, checked, is_sent, same_key, size_of

AHEAD_BYTES = 128 << 20
AHEAD_COUNT, MAX_AHEAD_COUNT = 1_024, 16_384
"""One may have so many sources in hand, and so many bytes, but always AHEAD_FILES."""
AHEAD_FILES = 2
AHEAD_S = 1.0
"""What one is expected to do in so many seconds it may have in hand, if that is more than AHEAD_COUNT."""
LOOK_BYTES = 32 << 20
WAIT_COUNT = 256
"""As many as the process at home would take at a time, if it was alone."""
MIN_BACK = 64
"""Fewer are not worth the way."""
MAX_DEATHS = 2


class Taken(msgspec.Struct, gc=False):
    """A source in somebody's hands. `deaths`: how many ended with it."""

    source: ObjectSource
    size: int
    deaths: int = 0


class Hand:
    """What one process has and has not done yet. `alone`: it has suspects, and is given nothing else.
    `most`, `most_bytes`: how much it may have at a time; 0: as much as suits how fast it is."""

    def __init__(self, most: int = 0, most_bytes: int = AHEAD_BYTES) -> None:
        self._given_most = most
        self._most_bytes = most_bytes
        self.has: dict[str, Taken] = {}
        self.bytes = 0
        self.alone = False
        self.per_s = 0.0
        """Sources done each second, of late."""

    @property
    def room(self) -> int:
        """How many more it may be given."""
        if self.alone:
            return 0
        return max((self._most if self.bytes < self._most_bytes else AHEAD_FILES) - len(self.has), 0)

    @property
    def hungry(self) -> bool:
        """Whether it is worth the while to give it more."""
        return self.room > 0 and (len(self.has) < AHEAD_FILES or 4 * self.room >= self._most)

    @property
    def _most(self) -> int:
        return self._given_most or min(max(AHEAD_COUNT, int(AHEAD_S * self.per_s)), MAX_AHEAD_COUNT)

    def take(self, taken: list[Taken]) -> None:
        for one in taken:
            # What is not to be uploaded is reported at once, and may have the key of what is.
            if is_sent(one.source):
                self.has[one.source.key] = one
                self.bytes += one.size

    def end(self, key: str) -> Taken | None:
        """That one is done."""
        taken = self.has.pop(key, None)
        if taken is not None:
            self.bytes -= taken.size
            self.alone = self.alone and bool(self.has)
        return taken


class Dispenser(Bunches):
    """See the module's rules. Its methods may be called from any thread. `spread`: others take part, so that
    the process at home takes no more than it has room for.  `home_takes`: it takes of everything, and not
    only what cannot travel."""

    def __init__(self, files: Iterable[ObjectSource], *, home_takes: bool = True) -> None:
        self._files: Iterator[ObjectSource] = iter(files)
        self._pulling = threading.Lock()
        self._changed = threading.Condition()
        self._stays: deque[Taken] = deque()
        self._waits = Hand(WAIT_COUNT, LOOK_BYTES)
        """Those of them that hold memory or a descriptor."""
        self._back: deque[Taken] = deque()
        self._given_back: deque[Taken] = deque()
        self._suspects: deque[list[Taken]] = deque()
        """Groups of which one source may end every process that has it."""
        self._hands: list[Hand] = []
        self._under_way: dict[str, Taken] = {}
        """Handed out since there are others, or about to be, and not done yet."""
        self.lost_keys: set[str] = set()
        """Of what one had who has ended: so much may be in the store of which nobody has told."""
        self._problem: BaseException | None = None
        self._closed = self._held = self._is_home_alone = False
        self._traveled = False
        """Something of what was pulled last could go to another process."""
        self.home_takes = home_takes
        self.home = Hand()
        self.exhausted = False
        self.spread = False

    def join(self, hand: Hand) -> None:
        with self._changed:
            self._hands.append(hand)
            self.spread = True

    def spread_out(self) -> None:
        """Others will take part."""
        self.spread = True

    def take_part(self) -> None:
        """The process at home takes of everything from now on."""
        if not self.home_takes:
            self.home_takes = True
            self.wake()

    def wake(self) -> None:
        """Who waits looks again."""
        with self._changed:
            self._changed.notify_all()

    @property
    def left(self) -> bool:
        """Whether there may be something to hand out."""
        return not self.exhausted or bool(self._back or self._given_back or self._suspects)

    @property
    def has_lost(self) -> bool:
        """Whether there is something that a process which ended had."""
        return bool(self._back or self._suspects)

    @property
    def searches(self) -> bool:
        """Whether it is being found out which source ends every process that has it."""
        return bool(self._suspects)

    @property
    def home_has_work(self) -> bool:
        """Whether the process at home has something to do, or soon will."""
        return bool(self.home.has or self._stays)

    @property
    def idle(self) -> bool:
        """Whether all that was handed out to others is done."""
        return not any(hand.has for hand in self._hands)

    # --- at home -----------------------------------------------------------------------------------

    def next_bunch(self, count: int) -> list[ObjectSource]:
        while True:
            with self._changed:
                self._changed.wait_for(self._may_go_on_at_home)
                if self._closed or self._is_over:
                    return []
                room = min(self._room_at_home, count)
                taken = _first(room, self._stays)
                for one in taken:
                    if is_sent(one.source):  # what is not may have the key of what is
                        self._waits.end(one.source.key)
                if self.home_takes and not taken:
                    taken = _first(room, self._given_back)
                if taken:
                    self.home.take(taken)
                    return [one.source for one in taken]
            if sources := self._pulled(self.home, room):
                return sources

    def hold(self, held: bool) -> None:
        """While it is held, nothing new is begun at home."""
        if held is not self._held:
            with self._changed:
                self._held = held
                self._changed.notify_all()

    def _may_go_on_at_home(self) -> bool:
        if self._closed or self._is_over:
            return True
        # When all is handed out, what others have may come back.
        goes_on = bool(self._stays) or (self.home_takes and (not self.exhausted or bool(self._given_back)))
        return goes_on and self._room_at_home > 0

    @property
    def has_for_others(self) -> bool:
        """Whether there is more to come, of the kind that another process could do, as far as is known."""
        return self._traveled and not self.exhausted

    @property
    def _room_at_home(self) -> int:
        if self._held:
            return 0
        return self.home.room if self.spread else 1 << 30

    @property
    def _is_over(self) -> bool:
        waits = self._stays or self._back or self._given_back or self._suspects
        return self.exhausted and not waits and self.idle

    def ended_at_home(self, key: str, source: ObjectSource | None) -> None:
        """An object of that key is done here; `source`: if it is known."""
        if source is not None and not is_sent(source):
            return  # nobody had it in hand: another source of that key may be
        with self._changed:
            self.home.end(key)
            self.lost_keys.discard(key)
            self._under_way.pop(key, None)
            if self.spread:
                self._changed.notify_all()

    # --- for others --------------------------------------------------------------------------------

    def next_for(self, hand: Hand) -> list[ObjectSource]:
        """What a process is given now; none if there is nothing at the moment. Blocks as the stream does."""
        with self._changed:
            if self._closed or hand not in self._hands:
                return []
            taken = list[Taken]()
            if self._suspects and not hand.has:
                taken = self._suspects.popleft()
                hand.alone = True
            elif room := hand.room:
                even = min(room, self._to_even(hand))
                taken = _first(room, self._back) or _first(even, self._given_back)
            else:
                return []
            if taken or self.exhausted:
                hand.take(taken)
                return [one.source for one in taken]
        return self._pulled(hand, room)

    def ended(self, hand: Hand, key: str) -> ObjectSource | None:
        """An object of that key is done; its source."""
        with self._changed:
            taken = hand.end(key)
            if taken is None:
                return None
            self.lost_keys.discard(key)
            self._under_way.pop(key, None)
            if not hand.has:
                self._changed.notify_all()
            return taken.source

    def too_many(self, hand: Hand) -> int:
        """How many of what `hand` has would suit whoever has least, now that the stream is over; 0 before."""
        with self._changed:
            if self.left or self._held or hand.alone:
                return 0
            least = min((len(one.has) for one in self._takers if one is not hand), default=len(hand.has))
            over = (len(hand.has) - least) // 2
            # What has ended a process is not for the one at home.
            if over < MIN_BACK or any(one.deaths for one in hand.has.values()):
                return 0
            return over

    def give_back(self, hand: Hand, keys: list[str]) -> None:
        """A process has not begun these, and somebody else shall."""
        with self._changed:
            self._given_back.extend(taken for key in keys if (taken := hand.end(key)) is not None)
            self._changed.notify_all()

    def _to_even(self, hand: Hand) -> int:
        """How many bring `hand` up to what all would have: who has just given back takes none of it."""
        takers = self._takers
        count = len(self._given_back) + sum(len(one.has) for one in takers)
        return max(math.ceil(count / len(takers)) - len(hand.has), 0)

    @property
    def _takers(self) -> list[Hand]:
        return [self.home, *self._hands] if self.home_takes else self._hands

    def lost(self, hand: Hand, *, by_source: bool = True) -> list[ObjectSource]:
        """A process has ended with what was in its hands, which is handed out again. The culprit, if that is
        found: it is not.  `by_source`: one of the sources may have ended it."""
        self.doubt(hand)
        with self._changed:
            self._hands.remove(hand)
            culprits, suspects = list[Taken](), list[Taken]()
            for taken in hand.has.values():
                taken.deaths += by_source
                if taken.deaths < MAX_DEATHS:
                    self._back.append(taken)
                else:
                    suspects.append(taken)
            if by_source and hand.alone and len(suspects) == 1:
                culprits = [suspects.pop()]
            if suspects:
                half = (len(suspects) + 1) // 2
                self._suspects.extend(part for part in (suspects[:half], suspects[half:]) if part)
            return self._given_up(culprits)

    def doubt(self, hand: Hand) -> None:
        """Who had what is in `hand` has ended, and may have sent it."""
        with self._changed:
            self.lost_keys.update(hand.has)

    def take_home(self) -> list[ObjectSource]:
        """There will be no other processes any more: what they had stays here, but for what has ended two of
        them, which is returned."""
        with self._changed:
            self.home_takes = self._is_home_alone = True
            self._stays.extend(self._back)
            self._back.clear()
            suspects = list[Taken]()
            while self._suspects:
                suspects += self._suspects.popleft()
            return self._given_up(suspects)

    def close(self) -> None:
        """Nothing is handed out any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _given_up(self, given_up: list[Taken]) -> list[ObjectSource]:
        for one in given_up:
            self._under_way.pop(one.source.key, None)
        self._changed.notify_all()
        return [one.source for one in given_up]

    # --- the stream --------------------------------------------------------------------------------

    def _pulled(self, hand: Hand, count: int) -> list[ObjectSource]:
        """Up to `count` sources of the stream, in `hand` from now on, but for those that stay at home."""
        with self._pulling:
            # For whoever asks: the run of one who is told that there are no more would end well.
            if self._problem is not None:
                raise self._problem
            if self.exhausted:
                return []
            room = None if hand is self.home else self._waits.room
            if room == 0:
                return []
            try:
                pulled, is_end = self._next(count, room)
            except BaseException as error:
                self._problem = error
                raise
            # In one step: no moment in which the stream is over, and nobody has what it has given.
            with self._changed:
                sources = self._hand_out(hand, pulled)
                self.exhausted = is_end
                self._changed.notify_all()
                return sources

    def _next(self, count: int, room: int | None) -> tuple[list[Taken], bool]:
        """What comes next, not many more bytes than one should take at once; and whether that is all. `room`:
        for so many that stay at home; None: for all."""
        pulled, size, held, until_s = list[Taken](), 0, 0, time.monotonic() + PULL_BUDGET_S
        for source in islice(self._files, count):
            taken = Taken(checked(source), size_of(source) if self.spread else 0)
            pulled.append(taken)
            size += taken.size
            held += len(source.body or b"")
            if room is not None and _holds(taken.source):
                room -= 1
            if room == 0 or size >= LOOK_BYTES or held >= PULL_BYTES or time.monotonic() > until_s:
                return pulled, False
        return pulled, len(pulled) < count

    def _hand_out(self, hand: Hand, pulled: list[Taken]) -> list[ObjectSource]:
        if pulled:
            self._traveled = any(_travels(one.source) for one in pulled)
        if not self.spread:
            self.home.take(pulled)
            return [one.source for one in pulled]
        goes, stays = list[Taken](), list[Taken]()
        for taken in map(self._told_apart, pulled):
            (goes if hand is self.home or _travels(taken.source) else stays).append(taken)
        self._stays.extend(stays)
        self._waits.take(stays)
        if hand is self.home or hand in self._hands:
            hand.take(goes)
            return [one.source for one in goes]
        # Its process has ended meanwhile, and where it was the last, only the one at home is left.
        (self._stays if self._is_home_alone else self._back).extend(goes)
        return []

    def _told_apart(self, taken: Taken) -> Taken:
        """Of two objects of one key only one is sent at a time."""
        source = taken.source
        if not is_sent(source):
            return taken
        first = self._under_way.get(source.key) or self.home.has.get(source.key)
        if first is None:
            self._under_way[source.key] = taken
            return taken
        return Taken(msgspec.structs.replace(source, problem=same_key(source, first.source)), 0)


def _first(count: int, queue: deque[Taken]) -> list[Taken]:
    """Takes up to `count`."""
    return [queue.popleft() for _ in range(min(count, len(queue)))]


def _holds(source: ObjectSource) -> bool:
    """Whether it holds memory or a descriptor until it is uploaded."""
    return (source.body is not None or source.chunks is not None) and is_sent(source)


def _travels(source: ObjectSource) -> bool:
    return source.is_file and source.body is None and is_sent(source)
