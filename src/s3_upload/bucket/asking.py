"""A question to the store (a page of a listing, a HeadObject), asked until it is answered.

Rules:

* Nothing waits for ever: each try has a time limit, which doubles with the tries, and so has the whole.  An
  answer that is coming is not cut (`http1/coming.py`), and of a try that lasted longer for it only the
  limit counts to the whole.
* The table of errors (`errors.FailureKind`) says what is tried again, and what the client can put right.
* A store that has never answered is given up after `Patience.tries`; one that has answered before may be away
  for `Patience.max_outage_s`, as during an upload.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Container
from typing import TypeVar

import msgspec

from s3_upload.config import UploadConfig
from s3_upload.control.retrying.refusals import STRAY_RETRIES
from s3_upload.control.retrying.retry import DEFAULT as RETRYING
from s3_upload.control.retrying.retry import Rng, full_jitter_s
from s3_upload.errors import AttemptError, FailureKind, Fate, RunError
from s3_upload.http import Response
from s3_upload.http1.coming import answer_of
from s3_upload.http1.trace import SendOptions, Trace
from s3_upload.s3.hints import joined, likely_cause, words_of
from s3_upload.s3.operations import Operation
from s3_upload.s3.responses import Failure, classify
from s3_upload.transfer.client import Client


class Patience(msgspec.Struct, frozen=True):
    """How long answers are waited for."""

    tries: int = 8
    """Tries after the first one, at least (`UploadConfig.n_retries`)."""
    max_outage_s: float = 300.0
    """How long a store that has answered before may fail (`UploadConfig.max_outage_s`)."""
    connect_s: float = 5.0
    """For one handshake."""
    answer_s: float = 30.0
    """For the first try of one answer, or while little of it comes; each further try has twice as long."""
    max_answer_s: float = 240.0
    """For any try: a gateway that walks a folder for each page may need a minute."""
    total_s: float = 600.0
    """For all tries of one question."""

    @classmethod
    def of(cls, config: UploadConfig) -> Patience:
        return cls(config.n_retries, config.max_outage_s, config.connect_timeout_s)


class Unanswered(Exception):  # noqa: N818 - named for what happened
    """A question is given up; `failure`: that of its last try, `trace`: how it went."""

    def __init__(self, operation: Operation, failure: Failure, trace: Trace, tries: int) -> None:
        super().__init__(f"{operation.name}: {words_of(failure) or failure.message}")
        self.operation = operation
        self.failure = failure
        self.trace = trace
        self.tries = tries


T = TypeVar("T")


def answer_to(operation: Operation) -> Callable[[Response], Response | Failure]:
    """Takes an answer as it is, if it is a success."""
    return lambda response: classify(operation.name, response) or response


class Asker:
    """Asks one store. `pause` waits, and `rng` says for how long."""

    def __init__(self, client: Client, patience: Patience | None = None, rng: Rng | None = None) -> None:
        self.client = client
        self._patience = patience or Patience()
        self._rng = rng or random.Random()  # noqa: S311 - jitter, not secrets
        self._answered = False

    async def ask(
        self,
        operation: Operation,
        read: Callable[[Response], T | Failure],
        final: Container[FailureKind] = (),
    ) -> T:
        """What `read` makes of the answer to `operation`: the first that is no failure.

        `final`: failures that are not to be tried again, since the caller has another way.

        Raises `Unanswered`, and `RunError` where there are no credentials to ask with.
        """
        now = asyncio.get_running_loop().time
        corrected: set[FailureKind] = set()
        tries, began_s, fresh, avoid = 0, now(), False, ""
        while True:
            limit_s = self._limit_s(tries)
            trace = Trace(SendOptions(self._patience.connect_s, fresh, avoid), now)
            failure: T | Failure
            try:
                failure = read(await answer_of(self.client.send(operation, trace), trace, limit_s))
            except AttemptError as error:
                failure = Failure(error.kind, message=error.message)
            if not isinstance(failure, Failure):
                self._answered = True
                return failure
            began_s += max(0.0, now() - trace.started_s - limit_s)
            if trace.stale and not fresh:  # an idle connection had been closed: that is no try
                fresh = True
                continue
            kind = failure.kind
            if kind.fate is Fate.CORRECT and kind not in corrected:
                corrected.add(kind)
                if await self.client.correct(operation, failure, trace):
                    continue
            if kind in final or not self._may_pass(kind, tries, now() - began_s):
                raise Unanswered(operation, failure, trace, tries + 1)
            fresh = kind.doubts_connection
            avoid = trace.address if fresh else ""
            await asyncio.sleep(self._delay_s(failure, tries))
            tries += 1

    def _limit_s(self, tries: int) -> float:
        return min(self._patience.answer_s * 2.0 ** min(tries, 30), self._patience.max_answer_s)

    def _may_pass(self, kind: FailureKind, tries: int, lasted_s: float) -> bool:
        """Whether another try may fare better."""
        if not kind.retried:
            return False
        # There may be no store at all, or something before it that refuses this.
        if kind.refuses or (not self._answered and kind.is_foreign):
            return tries < min(STRAY_RETRIES, self._patience.tries)
        patience = self._patience
        if self._answered and lasted_s < patience.max_outage_s:
            return True
        return tries < patience.tries and lasted_s < patience.total_s

    def _delay_s(self, failure: Failure, tries: int) -> float:
        base_s = RETRYING.base_throttle_s if failure.kind.throttles else RETRYING.base_transient_s
        jitter_s = full_jitter_s(base_s, tries, RETRYING.cap_s, self._rng)
        return max(jitter_s, min(failure.retry_after_s or 0.0, RETRYING.max_retry_after_s))


def run_error(client: Client, unanswered: Unanswered, what: str) -> RunError:
    """`what` could not be done, in one line: where, and why."""
    failure, operation = unanswered.failure, unanswered.operation
    if failure.kind is FailureKind.CONNECT:
        return RunError(f"{client.endpoint} cannot be reached: {failure.message}", failure.kind)
    where = f"{client.endpoint}: bucket {operation.bucket!r}"
    said = words_of(failure) if failure.status else failure.message
    remark = client.remark(failure, unanswered.trace) or likely_cause(failure)
    tries = f", after {unanswered.tries} attempts" if unanswered.tries > 1 else ""
    return RunError(f"{where}: {what}: {joined(said, remark)}{tries}", failure.kind)
