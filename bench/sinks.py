"""The stores that the suite uploads to, each started for one run, and what is wrong with what it holds.

`store` is ours in Go, which keeps sizes and ETags but no bodies; `nginx` is what earlier figures were
measured at; `MinIO` is a real store, which keeps everything.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.gostore import GoStore, Stored
from bench.measure import Workload, etag_of
from bench.nginx import BUCKET, Sink, SinkError, check_nginx
from bench.peers.tree import files

if TYPE_CHECKING:
    from collections.abc import Iterator

STORE, NGINX, MINIO = "store", "nginx", "MinIO"
NAMES = {STORE: "our store in Go", NGINX: "nginx (DAV, one worker)", MINIO: "MinIO"}


@dataclass(frozen=True)
class Target:
    """A running store. `objects` tells what it holds; `ca_file` is None without TLS."""

    url: str
    ca_file: Path | None
    keys: tuple[str, str]
    objects: Callable[[], Mapping[str, Stored]]


@contextlib.contextmanager
def target(kind: str, home: Path, *, tls: bool, delay_ms: int, md5: bool) -> Iterator[Target]:
    """An empty store with its bucket. `md5`: its ETags are the MD5s of what came, which the others always
    tell. Raises `SinkError`."""
    keys = ("benchmark", "benchmark-secret")
    if kind == STORE:
        options = ["--delay", f"{delay_ms}ms", *(["--md5"] if md5 else [])]
        with GoStore(*options, tls=home / "ca.pem" if tls else None) as store:
            yield Target(store.url, store.ca_file, keys, store.objects)
    elif kind == NGINX:
        with Sink(home) as sink:
            yield Target(sink.url, None, keys, lambda: _files(sink.bucket_dir))
    else:
        with _minio(home) as real:
            yield real


def missing(kind: str) -> str:
    """Why such a store cannot run here; "" if it can. Builds what has to be built."""
    try:
        if kind == NGINX:
            check_nginx()
        if kind == MINIO:
            from tests.stores.servers import build

            return build([MINIO]).get(MINIO.lower(), "")
    except (SinkError, ImportError) as error:
        return str(error)
    return ""


def _files(folder: Path) -> dict[str, Stored]:
    return {key: Stored(path.stat().st_size, etag_of(path, 0), 0) for key, path in files(str(folder))}


@contextlib.contextmanager
def _minio(home: Path) -> Iterator[Target]:
    from tests.stores import servers

    # It keeps all that it is sent, on the RAM disk: the next run needs the room.
    with tempfile.TemporaryDirectory(prefix="minio-", dir=home, ignore_cleanup_errors=True) as mine:
        folder = Path(mine, "data")
        folder.mkdir()
        try:
            with servers.minio(folder) as store:
                store.client.create_bucket(Bucket=BUCKET)
                keys = (store.access_key, store.secret_key)
                yield Target(store.endpoint_url, None, keys, _lister(store.client))
        except servers.Missing as problem:
            raise SinkError(f"MinIO {problem}") from None


def _lister(client: Any) -> Callable[[], Mapping[str, Stored]]:
    """Of what its bucket holds."""

    def objects() -> dict[str, Stored]:
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
        entries = (entry for page in pages for entry in page.get("Contents", ()))
        return {entry["Key"]: Stored(entry["Size"], entry["ETag"].strip('"'), 0) for entry in entries}

    return objects


def wrong(workload: Workload, found: Mapping[str, Stored], *, contents: bool) -> str:
    """How what a store holds differs from the files: keys, sizes, with `contents` MD5s; "" if nothing."""
    if problem := wrong_sizes(dict(workload.sizes_by_key()), found):
        return problem
    if contents:
        others = [
            key
            for key, object_ in found.items()
            if object_.etag != etag_of(workload.directory / key, object_.part_bytes)
        ]
        if others:
            return f"{len(others):,} object(s) with wrong bytes, the first is {min(others)}"
    return ""


def wrong_sizes(expected: Mapping[str, int], found: Mapping[str, Stored]) -> str:
    """How what a store holds differs from the sizes by key that it should hold; "" if in nothing."""
    for keys, what in (
        (expected.keys() - found.keys(), "missing"),
        (found.keys() - expected.keys(), "not asked for"),
        (
            {key for key in expected.keys() & found.keys() if found[key].size != expected[key]},
            "of wrong size",
        ),
    ):
        if keys:
            return f"{len(keys):,} object(s) {what}, the first is {min(keys)}"
    return ""
