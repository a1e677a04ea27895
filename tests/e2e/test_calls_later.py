"""`start_upload` of sources that come one by one, the first of them perhaps late."""

from __future__ import annotations

import threading
from queue import Queue
from typing import TYPE_CHECKING

import pytest

from s3_upload import ConfigError, ObjectSource, start_upload
from tests.e2e.test_calls import TIMEOUT_S, at, objects, src  # noqa: F401 - a fixture

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from tests.conftest import StartFaultServer


def test_a_handle_is_there_before_the_first_source_is(fault_server: StartFaultServer) -> None:
    server, given = fault_server(), Queue[ObjectSource | None]()
    # In a thread: who waits for the first source would do so for ever.
    runs: list[object] = []

    def main() -> None:
        with start_upload(iter(given.get, None), "s3://bucket", **at(server)) as run:
            runs.append(run)

    thread = threading.Thread(target=main, daemon=True)
    thread.start()
    thread.join(1.0)
    assert len(runs) == 1
    for source in (*objects(2), None):
        given.put(source)
    thread.join(TIMEOUT_S)
    assert server.model.bodies("bucket").keys() == {"000", "001"}


def test_a_run_whose_first_source_does_not_come_can_be_cancelled(fault_server: StartFaultServer) -> None:
    given = Queue[ObjectSource | None]()
    run = start_upload(iter(given.get, None), "s3://bucket", **at(fault_server()))
    run.cancel()
    assert (run.wait(TIMEOUT_S).sources, run.cancelled) == (0, True)
    given.put(None)


def test_paths_that_come_one_by_one_are_uploaded_below_their_names(
    fault_server: StartFaultServer,
    src: Path,  # noqa: F811
) -> None:
    server = fault_server()
    run = start_upload(src.iterdir(), "s3://bucket/p", progress=True, remove_source=True, **at(server))
    summary = run.wait(TIMEOUT_S)
    assert summary.uploaded == 2
    assert server.model.bodies("bucket").keys() == {"p/a.txt", "p/sub/b"}
    assert not [path for path in src.rglob("*") if path.is_file()]


def _late() -> Iterator[ObjectSource]:
    raise OSError("the list is away")
    yield from ()


@pytest.mark.parametrize(
    ("sources", "kind", "said"),
    [
        (lambda: iter(()), ConfigError, "^sources: there are none"),
        (lambda: iter([7]), TypeError, "^an item of files: must be ObjectSource, not int"),
        (_late, OSError, "the list is away"),
    ],
)
def test_what_is_wrong_with_sources_that_come_one_by_one_is_raised_by_wait(
    fault_server: StartFaultServer,
    sources: Callable[[], Iterable[ObjectSource]],
    kind: type[Exception],
    said: str,
) -> None:
    run = start_upload(sources(), "s3://bucket", **at(fault_server()))
    with pytest.raises(kind, match=said):
        run.wait(TIMEOUT_S)
    assert run.summary().sources == 0


def test_what_else_is_wrong_is_raised_at_once() -> None:
    asked: list[int] = []
    with pytest.raises(ConfigError, match="part_size"):
        start_upload(map(asked.append, [1]), "s3://bucket", part_size="8 MX")  # type: ignore[arg-type]
    assert asked == []
