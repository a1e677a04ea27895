"""Uploads with a bar of one's own: tqdm's, which moves with the bytes of big files too.

python examples/tqdm_bar.py SRC s3://BUCKET/PREFIX
"""

import sys
from pathlib import Path

from tqdm import tqdm

from s3_upload import BytesAcknowledged, Event, Listening, ObjectEnded, upload


class Bar:
    """Hears two kinds of events; those of others are not even made."""

    def __init__(self, total_bytes: int) -> None:
        self.tqdm = tqdm(total=total_bytes, unit="B", unit_scale=True)
        self.listening = Listening(self.hear, frozenset({BytesAcknowledged, ObjectEnded}))
        self._shown: dict[int, int] = {}

    def hear(self, event: Event) -> None:
        if isinstance(event, BytesAcknowledged):
            self.tqdm.update(event.bytes - self._shown.get(event.seq, 0))
            self._shown[event.seq] = event.bytes
        elif isinstance(event, ObjectEnded):
            self.tqdm.update(event.report.bytes - self._shown.pop(event.report.seq, 0))


def main() -> int:
    source, destination = sys.argv[1:]
    bar = Bar(sum(path.stat().st_size for path in Path(source).rglob("*") if path.is_file()))
    with bar.tqdm:
        summary = upload(source, destination, events=bar.listening)
    print(summary)
    return 1 if summary.failed else 0


if __name__ == "__main__":
    sys.exit(main())
