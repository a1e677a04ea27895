"""`progress=True`: a run shows how far it is, on a terminal or in a notebook."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from s3_upload.observe.events import BytesAcknowledged, Event, Listening, ObjectEnded

KINDS = frozenset({BytesAcknowledged, ObjectEnded})


@contextmanager
def show_progress(destination: str) -> Iterator[Listening]:
    """Within, what the listener hears is shown on stderr, if that is a terminal, or in a notebook's cell."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[files]:,} files"),
        DownloadColumn(),
        TransferSpeedColumn(),
    )
    silent = not (console.is_terminal or console.is_jupyter)
    with Progress(*columns, console=console, disable=silent, redirect_stdout=False) as shown:
        task = shown.add_task(destination, total=None, files=0)
        under_way: dict[int, int] = {}
        files = done = 0

        def listener(event: Event) -> None:
            nonlocal files, done
            if isinstance(event, BytesAcknowledged):
                under_way[event.seq] = event.bytes
            elif isinstance(event, ObjectEnded):
                under_way.pop(event.report.seq, None)
                if event.report.succeeded:
                    files += 1
                    done += event.report.bytes
            shown.update(task, completed=done + sum(under_way.values()), files=files)

        yield Listening(listener, KINDS)
