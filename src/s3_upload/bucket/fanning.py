"""A long listing in several at a time, joined to one in order: "delimiter" fan-out.

Theory.

1. A page tells where the next one begins, so one listing takes a round trip for each 1,000 objects: minutes
   for a million where the store takes 100 ms.  Listings of separate ranges of keys can go on side by side.
2. Where ranges may begin, a listing with the delimiter "/" tells: it gives directories in place of what is in
   them, up to 1,000 with one request.  A range is that of the keys behind one boundary, up to and with the
   next: whatever the boundaries are, each key is in one range.
3. The pages come out in the order of the keys, so only what is ahead of the front can go on beside it: at
   most `LANES` ranges, each with `AHEAD` pages that wait.  A range should fill about `WANTED` pages.  The
   ranges before it tell how many directories that takes.  So small directories share a request, as they do
   in one listing.
4. A range that turns out to be long when its turn comes is divided again, by what is in its directory.
5. A listing that ends with its first page is one request, and one in which there are no directories is listed
   as ever.  A division that turns out to be useless has cost one request.  A store that answers within
   `FAST_S` is near, and its processor is what counts: several at a time would only give it more to do.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import NamedTuple

from s3_upload.bucket.listing import Lister
from s3_upload.s3.operations import Page
from s3_upload.s3.operations.list_objects_v2 import ListedObject, ListedPage

DELIMITER = "/"
LANES = 10
"""Ranges that are listed at a time."""
AHEAD = 8
"""Pages of each that wait for their turn: all together are 80,000 objects at most, and as many again each
time that the range in front is divided once more (`DEEPEST`)."""
WANTED = 5.0
"""Pages that a range should fill."""
LONG = 8
"""Pages after which a range is divided again."""
DEEPEST = 6
"""Times that a range is divided."""
FAST_S = 0.02
"""With a first page as quick as that, a million objects take 20 s, one page after the other."""
FEW = 2
"""Boundaries that are worth a division, at least."""


class Span(NamedTuple):
    """A range of keys: those that begin with `prefix`, behind `after`, up to and with `last` ("": all)."""

    prefix: str
    after: str = ""
    last: str = ""

    def cut(self, page: ListedPage) -> tuple[list[ListedObject], bool]:
        """What of a page is in it, and whether it ends there."""
        objects = page.objects
        if self.last and objects and objects[-1].key >= self.last:
            return [found for found in objects if found.key <= self.last], True
        return objects, not page.token


async def fanned(
    lister: Lister, span: Span, depth: int = 0, *, fast_s: float = FAST_S
) -> AsyncGenerator[list[ListedObject], None]:
    """The objects of `span` in the order of their keys, some at a time."""
    lanes: Lanes | None = None
    is_first = True
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    async with aclosing(lister.pages(span.prefix, span.after, span.last)) as pages:
        try:
            async for page in pages:
                objects, ended = span.cut(page)
                is_slow = loop.time() - began_s >= fast_s
                yield objects
                if ended:
                    break
                if is_first and is_slow and objects and depth < DEEPEST:
                    boundaries = await Boundaries.behind(lister, span, objects)
                    if boundaries is not None:
                        lanes = Lanes(lister, boundaries, depth)
                        span = span._replace(last=boundaries.first)
                is_first = False
            if lanes is not None:
                async with aclosing(lanes.objects()) as behind:
                    async for objects in behind:
                        yield objects
        finally:
            if lanes is not None:
                await lanes.end()


async def objects_of(lister: Lister, prefix: str) -> AsyncGenerator[ListedObject, None]:
    """All below `prefix`, one by one."""
    async with aclosing(fanned(lister, Span(prefix))) as objects:
        async for some in objects:
            for found in some:
                yield found


class Boundaries:
    """Where ranges of `span` may begin: directories, as listings with a delimiter give them.

    `first`: the first of them; the ranges behind it come from `spans`.  `points` are those that are known.
    """

    def __init__(self, lister: Lister, span: Span, level: str, page: ListedPage, behind: str) -> None:
        self._lister = lister
        self._span = span
        self._level = level
        self._token = page.token
        self._points = _points(page, span, behind)
        self.first = self._points.pop(0)
        self.each = 1.0
        """Directories in a range."""

    @classmethod
    async def behind(cls, lister: Lister, span: Span, objects: list[ListedObject]) -> Boundaries | None:
        """Those behind `objects`, the first page of `span`; None where there are too few."""
        level, behind = span.prefix, objects[-1].key
        for _ in range(DEEPEST):
            page = await lister.page(Page(level, behind, delimiter=DELIMITER))
            if len(_points(page, span, behind)) >= FEW:
                found = cls(lister, span, level, page, behind)
                # The last of them goes on behind the page.
                found.learn(len({one.key[len(level) :].partition(DELIMITER)[0] for one in objects}) - 1, 1)
                return found
            name, delimiter, _ = behind[len(level) :].partition(DELIMITER)
            if not delimiter:
                return None
            level += name + delimiter
        return None

    def learn(self, directories: int, pages: int) -> None:
        """So many directories have filled so many pages."""
        self.each = max(
            1.0, min(WANTED * directories / pages, 4.0 * self.each if self.each > 1.0 else 1_000.0)
        )

    async def spans(self) -> AsyncGenerator[tuple[Span, int], None]:
        """The ranges behind `first`, each with the number of its directories."""
        after = self.first
        while True:
            if len(self._points) < self.each and self._token:
                await self._more()
            if not self._points:
                yield Span(self._span.prefix, after, self._span.last), 1
                return
            count = min(int(self.each), len(self._points))
            last = self._points[count - 1]
            del self._points[:count]
            yield Span(self._span.prefix, after, last), count
            after = last

    async def _more(self) -> None:
        page = await self._lister.page(Page(self._level, "", self._token, DELIMITER))
        points = _points(page, self._span, self._points[-1] if self._points else self.first)
        self._token = page.token if len(points) >= FEW else ""
        self._points += points


def _points(page: ListedPage, span: Span, behind: str) -> list[str]:
    """The directories on a page that begin behind `behind`. Raises nothing: what is out of order is left
    out, and its objects are in the range around it."""
    points: list[str] = []
    for prefix in page.prefixes:
        last = points[-1] if points else behind
        if prefix > last and not (span.last and prefix >= span.last):
            points.append(prefix)
    return points


class Lanes:
    """Lists the ranges behind some boundaries side by side, from now on."""

    def __init__(self, lister: Lister, boundaries: Boundaries, depth: int) -> None:
        self._lister = lister
        self._boundaries = boundaries
        self._depth = depth
        self._room = asyncio.Semaphore(LANES)
        self._lanes: asyncio.Queue[Lane | BaseException | None] = asyncio.Queue()
        self._open: set[Lane] = set()
        self._task = asyncio.ensure_future(self._begin())

    async def _begin(self) -> None:
        try:
            async with aclosing(self._boundaries.spans()) as spans:
                async for span, count in spans:
                    await self._room.acquire()
                    lane = Lane(self._lister, span, count)
                    self._open.add(lane)
                    self._lanes.put_nowait(lane)
            self._lanes.put_nowait(None)
        except Exception as error:  # for whoever waits for a lane
            self._lanes.put_nowait(error)

    async def objects(self) -> AsyncGenerator[list[ListedObject], None]:
        """Of one range after the other."""
        while (lane := await self._lanes.get()) is not None:
            if isinstance(lane, BaseException):
                raise lane
            async with aclosing(self._of(lane)) as objects:
                async for some in objects:
                    yield some
            await lane.end()
            self._open.discard(lane)
            self._room.release()

    async def _of(self, lane: Lane) -> AsyncGenerator[list[ListedObject], None]:
        pages, after = 0, lane.span.after
        while True:
            objects, ended = await lane.next()
            yield objects
            pages += 1
            after = objects[-1].key if objects else after
            if ended:
                self._boundaries.learn(lane.directories, pages)
                return
            if pages >= LONG and lane.is_empty and self._depth < DEEPEST:
                break
        await lane.end()
        self._boundaries.learn(lane.directories, pages)
        rest = lane.span._replace(after=after)
        async with aclosing(fanned(self._lister, rest, self._depth + 1, fast_s=0.0)) as more:
            async for some in more:
                yield some

    async def end(self) -> None:
        """Nothing of it goes on."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        for lane in self._open:
            await lane.end()


class Lane:
    """A range that is being listed: up to AHEAD pages wait for their turn."""

    def __init__(self, lister: Lister, span: Span, directories: int) -> None:
        self.span = span
        self.directories = directories
        self._lister = lister
        self._pages: asyncio.Queue[tuple[list[ListedObject], bool] | BaseException]
        self._pages = asyncio.Queue(AHEAD - 2)  # beside one that waits for room, and one that comes
        self._task = asyncio.ensure_future(self._list())

    @property
    def is_empty(self) -> bool:
        """Nothing waits."""
        return self._pages.empty()

    async def next(self) -> tuple[list[ListedObject], bool]:
        """The next objects, and whether they are the last."""
        page = await self._pages.get()
        if isinstance(page, BaseException):
            raise page
        return page

    async def _list(self) -> None:
        try:
            async with aclosing(self._lister.pages(*self.span)) as pages:
                async for page in pages:
                    objects, ended = self.span.cut(page)
                    await self._pages.put((objects, ended))
                    if ended:
                        return
        except Exception as error:  # for whoever waits for a page
            await self._pages.put(error)

    async def end(self) -> None:
        """Nothing of it goes on."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
