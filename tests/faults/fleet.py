"""A job of two processes to the fault server, and what its processes do."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING, Any, Literal

from bench.leases import children_of
from s3_upload import Credentials, ObjectSource, RequestFields, upload_async
from s3_upload.blocking import loop_factory
from s3_upload.config import MIB

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from s3_upload import UploadReport, UploadSummary

SMALL: dict[str, Any] = {"multipart_threshold": 5 * MIB, "part_size": 5 * MIB, "hedge": "off"}
OF_WORKER = 1_000_000_000
"""Numbers of workers' objects begin here (`fleet.desk`)."""


def known(url: str) -> dict[str, Any]:
    keys = Credentials("key", "secret")
    return {"endpoint_url": url, "credentials": keys, "region": "us-east-1", "proxy": "none"}


def small_files(folder: Path, count: int) -> list[ObjectSource]:
    """Each says its number."""
    made = []
    for number in range(count):
        path = folder / f"{number:04}"
        path.write_bytes(b"%d" % number)
        made.append(ObjectSource.file(path, path.name))
    return made


def kill_children() -> None:
    for pid in children_of(os.getpid()):
        os.kill(pid, signal.SIGKILL)


def in_child() -> bool:
    spec = sys.modules["__main__"].__spec__
    return spec is not None and spec.name.startswith("s3_upload.fleet")


def dies_of_deadly(source: ObjectSource) -> RequestFields | None:
    """A `default_request`: the file called "deadly" ends each process of the fleet."""
    if in_child() and source.key.endswith("deadly"):
        os._exit(9)
    return None


def raises_in_child(source: ObjectSource) -> RequestFields | None:
    if in_child():
        raise PickyError(1, 2)
    return None


def tells_its_path(source: ObjectSource) -> RequestFields:
    """Metadata: where programs that this process begins look for modules; and which process it is."""
    return RequestFields(metadata={"path": os.environ.get("PYTHONPATH", "none"), "child": str(in_child())})


class PickyError(Exception):
    """Can be pickled, but not made again of that."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one} and {two}")


class Shared:
    """Sources of which the other process surely takes some: until it has, the one at home is given one at a
    time.  `first_for_child`: what the other is given first."""

    def __init__(self, sources: Sequence[ObjectSource], first_for_child: ObjectSource | None = None) -> None:
        self._sources = sources
        self._first = first_for_child
        self._taken = threading.Event()

    def __iter__(self) -> Iterator[ObjectSource]:
        for source in self._sources:
            if threading.current_thread().name == "s3-upload-fleet":
                self._taken.set()
                if self._first is not None:
                    first, self._first = self._first, None
                    yield first
            else:
                self._taken.wait(0.15)
            yield source


def run(
    url: str,
    sources: Sequence[ObjectSource],
    *,
    first_for_child: ObjectSource | None = None,
    told: Callable[[UploadReport], None] = lambda report: None,
    processes: int | Literal["auto"] = 2,
    **arguments: Any,
) -> tuple[UploadSummary, list[UploadReport]]:
    """By two processes, if nothing else is said; `told`: called with each report."""

    reports: list[UploadReport] = []

    async def progress(report: UploadReport) -> None:
        told(report)
        reports.append(report)

    async def main() -> UploadSummary:
        async with asyncio.timeout(120.0):  # ends a hang, and no run on a busy machine
            return await upload_async(
                Shared(sources, first_for_child), "s3://bucket", progress=progress, processes=processes,
                **known(url), **SMALL | arguments,
            )  # fmt: skip

    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        return runner.run(main()), reports
