"""A run's events as lines of `logging`, for programs that keep logs.

`s3_upload.objects` and `s3_upload.limits` speak at INFO: what became of each object, when the store is away
and back, and what limits the run.  `s3_upload.attempts` speaks at DEBUG: each try of each request.  Nothing
secret is in an event, so nothing is in a line.  What is not enabled when a run begins costs nothing.
"""

from __future__ import annotations

import logging

from s3_upload.observe.events import (
    AttemptEnded,
    Event,
    LimitsChanged,
    Listening,
    ObjectEnded,
    StoreAway,
    StoreBack,
    UploadCreated,
)
from s3_upload.text import printable

OBJECTS = logging.getLogger("s3_upload.objects")
LIMITS = logging.getLogger("s3_upload.limits")
ATTEMPTS = logging.getLogger("s3_upload.attempts")
# A program that has not set up logging gets no line of ours on its stderr.
logging.getLogger("s3_upload").addHandler(logging.NullHandler())

_KINDS: tuple[tuple[logging.Logger, int, frozenset[type]], ...] = (
    (OBJECTS, logging.INFO, frozenset({ObjectEnded, StoreAway, StoreBack})),
    (LIMITS, logging.INFO, frozenset({LimitsChanged})),
    (ATTEMPTS, logging.DEBUG, frozenset({AttemptEnded, UploadCreated})),
)


def log_lines() -> Listening | None:
    """Listens for what the loggers are enabled for now; None where that is nothing."""
    wanted = [kinds for logger, level, kinds in _KINDS if logger.isEnabledFor(level)]
    return Listening(_log, frozenset[type]().union(*wanted)) if wanted else None


def _log(event: Event) -> None:
    if isinstance(event, AttemptEnded):
        ATTEMPTS.debug("%s: %s", printable(event.key), event.report)
    elif isinstance(event, UploadCreated):
        ATTEMPTS.debug("%s: multipart upload %s", printable(event.key), event.upload_id)
    elif isinstance(event, ObjectEnded):
        OBJECTS.info("%s", event.report)
    elif isinstance(event, LimitsChanged):
        LIMITS.info(
            "limited by %s: %d of %d requests under way", event.limited_by, event.requests, event.max_requests
        )
    elif isinstance(event, StoreAway):
        OBJECTS.info("the store is away since %.3f s: %s", event.since_s, printable(event.cause))
    elif isinstance(event, StoreBack):
        OBJECTS.info("the store is back; it was away since %.3f s", event.since_s)
