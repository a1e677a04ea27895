"""Uploads many files by the command through a forward proxy to MinIO, and compares all that is read back.

Over http, where the proxy reads every request, and over https, where it tunnels them; by our own proxy and,
where it is installed, by tinyproxy.  Exit code 1 if an object came back otherwise.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.proxy.forward import ForwardProxy
from tests.proxy.tiny import TINYPROXY, tinyproxy
from tests.stores.big import make_files, report, told, upload
from tests.stores.servers import STORES, Missing, build

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.store import Store


@contextlib.contextmanager
def _ours(_: Path) -> Iterator[str]:
    with ForwardProxy() as proxy:
        yield proxy.url


STORES_THROUGH = ("MinIO", "MinIO over TLS")
FILES = argparse.Namespace(sparse=0, files=500, largest=10_000, seed=1)
MOST_MEMORY = 400_000_000
PROXIES: dict[str, Callable[[Path], contextlib.AbstractContextManager[str]]] = {
    "our proxy": _ours,
    **({"tinyproxy": tinyproxy} if TINYPROXY else {}),
}


def main() -> int:
    problems, failed = build(["MinIO"]), 0
    for name in STORES_THROUGH:
        with tempfile.TemporaryDirectory(prefix="s3-upload-proxied-") as folder:
            data = Path(folder) / "data"
            data.mkdir()
            try:
                with STORES[name](data) as store:
                    failed += run(name, store, Path(folder))
            except Missing as missing:
                print(
                    f"{name} through a proxy: LEFT OUT: {', '.join(problems.values()) or missing}", flush=True
                )
    return 1 if failed else 0


def run(name: str, store: Store, folder: Path) -> int:
    """How many objects are wrong."""
    wrong = 0
    for number, (kind, start) in enumerate(PROXIES.items()):
        source, own = folder / f"source-{number}", folder / f"proxy-{number}"
        own.mkdir()
        size = make_files(source, FILES)
        with start(own) as url:
            bucket = store.new_bucket()
            ran = upload(store, [str(source), f"s3://{bucket}/files", "--proxy", url])
        print(f"{name} through {kind}: {FILES.files:,} files, {size / 1e6:.0f} MB:")
        wrong += told(ran, size, MOST_MEMORY)
        there = store.objects(bucket)
        files = {f"files/{path.relative_to(source)}": path for path in source.rglob("*") if path.is_file()}
        found = {key: files[key].read_bytes() == there.get(key) for key in files}
        wrong += report("objects", dict.fromkeys(there.keys() - files.keys(), False) | found)
    return wrong


if __name__ == "__main__":
    sys.exit(main())
