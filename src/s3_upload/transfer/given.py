"""What a run is given: decisions, surroundings, and who is told."""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec

from s3_upload.config import UploadConfig
from s3_upload.control.concurrency.big_bodies import BulkBound
from s3_upload.control.concurrency.prefixes import AcceptedRates
from s3_upload.control.concurrency.window import Window
from s3_upload.control.retrying.outage import Outage
from s3_upload.control.retrying.retry import Retry, Rng
from s3_upload.control.waiting.timeouts import Timeout
from s3_upload.observe.events import Events
from s3_upload.pace import Pace
from s3_upload.report import PaceReport
from s3_upload.request_fields import NO_FIELDS, RequestFields
from s3_upload.sources.source import ObjectSource
from s3_upload.transfer.outages import Notice
from s3_upload.transfer.progress import Progress
from s3_upload.transfer.reading import Offload
from s3_upload.transfer.resume import Resume


class Controls(msgspec.Struct, frozen=True):
    """The decisions of one run: what `control/` has to say."""

    timeout: Timeout
    retry: Retry
    window: Window
    bulk: BulkBound | None = None
    outage: Outage | None = None
    rates: AcceptedRates | None = None


class Runtime(msgspec.Struct, frozen=True):
    """What one run takes from its surroundings; the simulator gives virtual ones.

    `clock`: monotonic seconds.  `offload`: runs a blocking function off the loop; `offload_source` likewise
    what is the caller's (iterables, files) and may never return, so that it keeps no other from its thread.
    `pause` blocks for so many seconds, in a thread of `offload`.  `close`: the run needs it no more.
    `local_devices`: see `sources.local_disk`.  `busy_s`: see `processor`; `all_busy_s` is for each
    processor.  `epoch_s`: when the run's clock stood at 0; None: when it begins.
    """

    clock: Callable[[], float]
    rng: Rng
    offload: Offload
    offload_source: Offload
    pause: Callable[[float], None] = time.sleep
    close: Callable[[], None] = lambda: None
    local_devices: frozenset[int] = frozenset()
    busy_s: Callable[[], float] = lambda: 0.0
    all_busy_s: Callable[[], float] = lambda: 0.0
    epoch_s: float | None = None


class Given(msgspec.Struct, frozen=True):
    """See the module's text. `fields_of`: what is said of an object; `said`: of all, as far as that is known
    without one; `pace`: of a run that is held back; `resume`: how earlier runs' uploads are gone on with."""

    bucket: str
    config: UploadConfig
    controls: Controls
    runtime: Runtime
    fields_of: Callable[[ObjectSource], RequestFields]
    progress: Progress | None
    notice: Notice | None
    events: Events
    pace: Pace | None = None
    resume: Resume | None = None
    said: RequestFields = NO_FIELDS

    def paced(self) -> PaceReport | None:
        """The newest report of the pace."""
        return self.pace.latest if self.pace is not None else None
