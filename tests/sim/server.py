"""The store: the fault server's model of S3 on a virtual network, with a temper of its own.

Requests are parsed from the very bytes that arrived.  What a request meets: its fault, chosen when
its headers are there (`Faults`); a bounded rate of operations (`capacity_per_s`); a token bucket per
prefix, beyond which it is told 503 SlowDown; its service time.  It takes effect when it is answered,
not when it came: a store goes on with what the program has given up long ago.
"""

from __future__ import annotations

import dataclasses
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl, unquote

import httptools

from tests.faults.actions import (
    Action,
    Answer,
    Delay,
    Early,
    Garbage,
    Request,
    Reset,
    Serve,
    Stall,
    Torn,
    foreign,
    render,
    s3_error,
)  # fmt: skip
from tests.faults.model import S3Model, StoredObject, Upload
from tests.sim.network import Channel, Handler, Network

EPOCH_UTC_S = 1.7e9
"""The time of day when the loop's clock was at 0."""
REQUEST_TIMEOUT_S = 20.0
"""How long S3 waits for more of a body."""
SLOW_S = 5.0
BIG_BYTES = 1 << 20
SLOW_DOWN = s3_error(503, "SlowDown", "Please reduce your request rate.")
BAD_GATEWAY = foreign(502)
SILENCE = s3_error(400, "RequestTimeout", "Your socket connection was not read from or written to.")
KEEP_THE_ANSWER = {"unanswered", "unheard", "stalled_body", "frozen", "torn", "reset", "garbage"}
"""Faults after which no answer comes, or none in time; one that is slow does come."""


@dataclass(frozen=True, slots=True)
class Unsaid(Action):
    """The request takes effect and is answered with an error all the same."""

    answer: Answer


@dataclass(frozen=True, slots=True)
class StoreSpec:
    """A store without faults. `service_s`: the median; times are log-normal with `sigma`."""

    service_s: float = 0.03
    sigma: float = 0.4
    big_body_s: float = 0.0
    """What an answer takes longer to a body of more than BIG_BYTES: a proxy that takes it in whole, and then
    passes it on."""
    slow_share: float = 0.0
    """Of requests that take `slow_s` more."""
    slow_s: float = SLOW_S
    slow_part_every: int = 0
    """Every so many parts that come, one takes `slow_s` more; 0: none."""
    parts_once: bool = False
    """A part that comes twice spoils its upload: to complete it fails, and it is gone. So does rclone."""
    complete_s: float = 0.0
    """What a CompleteMultipartUpload takes more."""
    capacity_per_s: float = float("inf")
    prefix_rate_per_s: float = float("inf")
    idle_close_s: float = 20.0
    requests_per_connection: int = 0
    """0: no bound; else it says `Connection: close` after so many."""


@dataclass(frozen=True, slots=True)
class Faults:
    """Shares of requests (of connections: `accept_reset`), from `begin_s` to `end_s` of the world's time."""

    begin_s: float = 0.0
    end_s: float = 0.0
    error: float = 0.0
    unsaid: float = 0.0
    throttle: float = 0.0
    unanswered: float = 0.0
    stalled_body: float = 0.0
    torn: float = 0.0
    reset: float = 0.0
    garbage: float = 0.0
    early: float = 0.0
    accept_reset: float = 0.0
    unheard: float = 0.0
    """Of CompleteMultipartUploads: they take effect, and their answers are lost."""
    ingress: float = 0.0
    """A load balancer answers for a store that is away."""
    frozen: float = 0.0
    """Of bodies of more than BIG_BYTES: the store reads less than half of one, and no more."""

    def names(self) -> list[str]:
        return [name for name in self.__slots__ if name not in ("begin_s", "end_s", "accept_reset")]


@dataclass(slots=True)
class Record:
    """One request, for the oracle. Instants are the world's time, 0.0 for never."""

    request: Request
    fault: str = ""
    applied_s: float = 0.0
    stored: bool = False
    """It made an object."""
    etag: str = ""
    """Of that object."""
    made_upload_id: str = ""
    """It began an object in parts."""
    status: int = 0
    delivered_s: float = 0.0
    """The program was given the whole answer."""

    @property
    def makes_the_object(self) -> bool:
        """Whether it is a PutObject or a CompleteMultipartUpload."""
        query, method = self.request.query, self.request.method
        return (method == "PUT" and not query) or (method == "POST" and "uploadId" in query)

    @property
    def upload_id(self) -> str:
        """Of the object in parts that it begins or is about, "" for none."""
        return self.request.query.get("uploadId", self.made_upload_id)


class SimStore:
    """See the module's text."""

    def __init__(
        self, network: Network, spec: StoreSpec, faults: Faults, rng: random.Random, model: S3Model
    ) -> None:
        self.network = network
        self.spec = spec
        self.faults = faults
        self.model = model
        self.records: list[Record] = []
        self.counts: Counter[str] = Counter()
        """Faults injected, by kind."""
        self.heard: Callable[[Request], None] = lambda request: None
        """Is told of each request, at its headers."""
        self._rng = rng
        self._slot_s = 0.0
        self._buckets: dict[str, tuple[float, float]] = {}
        self._attempts: Counter[tuple[str, str, int]] = Counter()
        self._aborted: dict[str, float] = {}
        self._n_parts = 0
        self._spoiled: set[str] = set()

    def utc_s(self) -> float:
        """The time of day, by the clock of all its machines."""
        return EPOCH_UTC_S + self.network.loop.time()

    def accept(self, channel: Channel) -> Handler:
        return _Connection(self, channel)

    def faulty_accept(self) -> bool:
        faults = self.faults
        if self.network.now() >= faults.end_s or self._rng.random() >= faults.accept_reset:
            return False
        self.counts["accept_reset"] += 1
        return True

    def begin(self, connection: int, method: str, target: str, headers: dict[str, str]) -> Record:
        """A new request, at its headers."""
        path, _, query_text = target.partition("?")
        bucket, _, key = path[1:].partition("/")
        request = Request(
            number=len(self.records) + 1,
            attempt=0,
            connection=connection,
            method=method,
            bucket=unquote(bucket),
            key=unquote(key),
            target=target,
            query=dict(parse_qsl(query_text, keep_blank_values=True)),
            headers=headers,
            started_s=self.network.now(),
        )
        slot = (method, request.key, request.part_number)
        self._attempts[slot] += 1
        request.attempt = self._attempts[slot]
        record = Record(request)
        self.records.append(record)
        record.fault, request.action = self._choose(request)
        if record.fault:
            self.counts[record.fault] += 1
        self.network.trace("request", connection, method, target, record.fault)
        self.heard(request)
        return record

    def service_s(self, action: Action | None) -> float:
        """How long from now until a request that is there takes effect."""
        spec, now_s = self.spec, self.network.now()
        self._slot_s = max(now_s, self._slot_s) + 1 / spec.capacity_per_s
        service_s = spec.service_s * self._rng.lognormvariate(0.0, spec.sigma)
        return self._slot_s - now_s + service_s + (action.seconds if isinstance(action, Delay) else 0.0)

    def refuses(self, request: Request) -> bool:
        """Whether the request is beyond what its prefix may have."""
        rate = self.spec.prefix_rate_per_s
        if rate == float("inf"):
            return False
        now_s, prefix = self.network.now(), request.key.rpartition("/")[0]
        tokens, since_s = self._buckets.get(prefix, (rate, now_s))
        tokens = min(rate, tokens + rate * (now_s - since_s))
        self._buckets[prefix] = (tokens - 1 if tokens >= 1 else tokens, now_s)
        self.counts["prefix throttle"] += tokens < 1
        return tokens < 1

    def apply(self, record: Record) -> Answer:
        record.applied_s = self.network.now()
        self._late_part(record.request)
        before = self._object_of(record.request)
        answer = self._spoiled_upload(record.request) or self.model.answer(record.request)
        if answer.status == 200 and b"<Error" not in answer.body:
            answer = self._done(record, answer, before)
        if record.request.method == "DELETE" and answer.status == 204:
            self._aborted[record.request.query["uploadId"]] = record.applied_s
        self.network.trace("apply", record.request.number, answer.status)
        return answer

    def _object_of(self, request: Request) -> StoredObject | None:
        return self.model.objects.get(f"{request.bucket}/{request.key}")

    def _done(self, record: Record, answer: Answer, before: StoredObject | None) -> Answer:
        """Keeps what a request has come to, and dates it. `before`: what was under its key until then."""
        stored, method = self._object_of(record.request), record.request.method
        if record.makes_the_object and stored is not None:
            record.stored, record.etag = True, stored.etag
            # A Complete that comes twice is answered as the first, and makes nothing.
            if stored is not before:
                stored.modified_s = self.utc_s()
        elif method == "POST":
            record.made_upload_id = next(reversed(self.model.uploads))
        elif method == "HEAD" and stored is not None:
            headers = {"Last-Modified": _date(int(stored.modified_s)), **answer.headers}
            return dataclasses.replace(answer, headers=headers)
        return answer

    def _late_part(self, request: Request) -> None:
        """A part that was under way when its upload was aborted may be stored, and billed, after that."""
        upload_id = request.query.get("uploadId", "")
        if request.part_number and request.started_s < self._aborted.get(upload_id, 0.0):
            self.model.uploads.setdefault(upload_id, Upload(request.bucket, request.key, {}))
            self.counts["late part"] += 1

    def _spoiled_upload(self, request: Request) -> Answer | None:
        """What a store that takes no part twice says to the completion of an upload that had one."""
        upload_id = request.query.get("uploadId", "")
        upload = self.model.uploads.get(upload_id) if self.spec.parts_once else None
        if upload is None:
            return None
        if request.part_number in upload.parts:
            self._spoiled.add(upload_id)
        if request.method != "POST" or upload_id not in self._spoiled:
            return None
        del self.model.uploads[upload_id]
        return s3_error(400, "InvalidPart", "One or more of the specified parts could not be found.")

    def _choose(self, request: Request) -> tuple[str, Action | None]:
        rng, spec = self._rng, self.spec
        draw = rng.random()
        completes = request.method == "POST" and "uploadId" in request.query
        if self.faults.begin_s <= self.network.now() < self.faults.end_s:
            for name in self.faults.names():
                share = getattr(self.faults, name)
                if (name == "unheard" and not completes) or (name == "frozen" and not _is_big(request)):
                    continue
                if draw < share:
                    return name, self._action(name, request)
                draw -= share
        self._n_parts += bool(request.part_number)
        slow_part = spec.slow_part_every and request.part_number and self._n_parts % spec.slow_part_every == 0
        if rng.random() < spec.slow_share or slow_part:
            return "slow", Delay(spec.slow_s)
        return "", Delay(spec.complete_s) if completes and spec.complete_s else None

    def _action(self, name: str, request: Request) -> Action:
        rng, length = self._rng, _body_bytes(request)
        if name == "frozen":
            return Stall(after_body_bytes=int(length * rng.uniform(0.0, 0.5)))
        stored = rng.random() < 0.5
        cut = rng.choice((None, 0, length // 2))
        error = s3_error(500, "InternalError", close=stored)
        actions: dict[str, Action] = {
            "error": error,
            "unsaid": Unsaid(error),
            "throttle": SLOW_DOWN,
            "unanswered": Stall(stored=stored),
            "unheard": Stall(stored=True),
            "stalled_body": Stall(after_body_bytes=length // 2),
            "torn": Torn(stored=stored),
            "reset": Reset(after_body_bytes=cut, stored=stored and cut is None),
            "garbage": Garbage(),
            "early": Early(SLOW_DOWN),
            "ingress": BAD_GATEWAY,
        }
        return actions[name]


def _body_bytes(request: Request) -> int:
    return int(request.headers.get("content-length", "0"))


def _is_big(request: Request) -> bool:
    return _body_bytes(request) > BIG_BYTES


class _Connection:
    """The store's end of one connection; the callbacks `on_*` are httptools'."""

    def __init__(self, store: SimStore, channel: Channel) -> None:
        self.fault = ""
        self._store = store
        self._channel = channel
        self._parser: Any = httptools.HttpRequestParser(self)
        self._record: Record | None = None
        self._cut: int | None = None
        self._served = 0
        self._quiet_s = store.network.now()
        self._over = False
        self.on_message_begin()
        if store.faulty_accept():
            self.fault = "accept_reset"
            self._end(channel.reset)
        else:
            self._watch_idle()

    # --- what arrives ----------------------------------------------------------------------------

    def data(self, data: memoryview) -> None:
        if self._over:
            return
        self._quiet_s = self._store.network.now()
        self._parser.feed_data(data)

    def gone(self) -> None:
        """The program's end is closed; what is under way here goes on."""
        self._over = True

    def on_message_begin(self) -> None:
        self._url = b""
        self._headers: dict[str, str] = {}
        self._chunks: list[bytes] = []
        self._received = 0

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        assert self._record is None, "a request was sent before the one before it was answered"
        method, target = self._parser.get_method().decode(), self._url.decode("latin-1")
        self._record = record = self._store.begin(self._channel.number, method, target, self._headers)
        self.fault = record.fault if record.fault in KEEP_THE_ANSWER else ""
        action = record.request.action
        if isinstance(action, Early):
            self._answer(record, action.answer, close=True)
        elif isinstance(action, Stall | Reset):
            self._cut = action.after_body_bytes
            self._cut_if_due()
        self._watch_body(record)

    def on_body(self, chunk: bytes) -> None:
        if self._over or self._record is None:
            return
        self._chunks.append(chunk)
        self._received += len(chunk)
        self._cut_if_due()

    def on_message_complete(self) -> None:
        record = self._record
        if self._over or record is None:
            return
        request = record.request
        request.body = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        request.body_bytes = len(request.body)
        request.complete = True
        request.received_s = self._store.network.now()
        self._chunks = []
        passing_on_s = self._store.spec.big_body_s if request.body_bytes > BIG_BYTES else 0.0
        self._later(passing_on_s + self._store.service_s(request.action), self._act, record)

    def _cut_if_due(self) -> None:
        if self._cut is None or self._received < self._cut or self._record is None:
            return
        if isinstance(self._record.request.action, Reset):
            self._end(self._channel.reset)
        else:
            self._over = True
            self._channel.reading = False

    # --- what becomes of it ----------------------------------------------------------------------

    def _act(self, record: Record) -> None:
        store, action = self._store, record.request.action
        if isinstance(action, Stall | Reset | Torn) and action.stored:
            store.apply(record)
        match action:
            case Answer():
                self._answer(record, action, close=action.close)
            case Unsaid(answer):
                store.apply(record)
                self._answer(record, answer)
            case Stall():
                pass
            case Reset():
                self._end(self._channel.reset)
            case Torn() | Garbage():
                if not self._over:
                    self._channel.send(action.data)
                self._end(self._channel.close)
            case None | Serve() | Delay():
                if store.refuses(record.request):
                    self._answer(record, SLOW_DOWN)
                else:
                    self._answer(record, store.apply(record))
            case _:
                raise AssertionError(f"{action!r} is not known here")

    def _answer(self, record: Record, answer: Answer, *, close: bool = False) -> None:
        record.status = answer.status
        if self._over:
            return
        self._served += 1
        bound = self._store.spec.requests_per_connection
        close = close or bool(bound and self._served >= bound)
        date = _date(int(self._store.utc_s()))
        dated = dataclasses.replace(answer, headers={"Date": date, **answer.headers})
        head = record.request.method == "HEAD"
        self._channel.send(render(dated, close=close, head=head), lambda: self._taken(record))
        self._record = None
        self.fault = ""
        self.on_message_begin()
        self._quiet_s = self._store.network.now()
        if close:
            self._end(self._channel.close)

    def _taken(self, record: Record) -> None:
        record.delivered_s = self._store.network.now()
        self._store.network.trace("answer", record.request.number, record.status)

    def _end(self, how: Callable[[], None]) -> None:
        if not self._over:
            self._over = True
            how()

    # --- patience --------------------------------------------------------------------------------

    def _later(self, delay_s: float, callback: Callable[..., None], *arguments: Any) -> None:
        loop = self._store.network.loop
        loop.at(loop.time() + delay_s, callback, *arguments)

    def _watch_idle(self) -> None:
        if self._over:
            return
        quiet_s = self._store.network.now() - self._quiet_s
        limit_s = self._store.spec.idle_close_s
        if self._record is None and quiet_s >= limit_s - 1e-6:
            self._end(self._channel.close)
        else:
            self._later(limit_s if self._record is not None else limit_s - quiet_s, self._watch_idle)

    def _watch_body(self, record: Record) -> None:
        if self._over or record.request.complete or self._record is not record:
            return
        quiet_s = self._store.network.now() - self._quiet_s
        if quiet_s >= REQUEST_TIMEOUT_S - 1e-6:
            self._answer(record, SILENCE, close=True)
        else:
            self._later(REQUEST_TIMEOUT_S - quiet_s, self._watch_body, record)


@lru_cache(maxsize=1000)
def _date(utc_s: int) -> str:
    return formatdate(utc_s, usegmt=True)
