"""`sync_files`: uploads what is missing or different, and nothing else; what is the same is one figure."""

from __future__ import annotations

import asyncio
import hashlib
import os
from typing import TYPE_CHECKING, Any

import pytest

from s3_upload import ConfigError, FailureKind, ObjectSource, RunError, UploadSummary, sync_files
from s3_upload.config import MIB
from tests.faults.actions import Rule, s3_error
from tests.faults.model import S3Model, StoredObject
from tests.faults.uploads import BUCKET, config, run, stored

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import StartFaultServer
    from tests.faults.actions import Request
    from tests.faults.server import FaultServer

THEN_S = 1_700_000_000


def etag_in_parts(body: bytes, part_size: int) -> str:
    parts = [body[start : start + part_size] for start in range(0, len(body), part_size)]
    digests = b"".join(hashlib.md5(part).digest() for part in parts)
    return f"{hashlib.md5(digests).hexdigest()}-{len(parts)}"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Files that were modified at THEN_S."""
    root = tmp_path / "tree"
    for name in ("a", "a.txt", "a-b/c", "d/e", "d/f", "ä b+%"):
        write(root / name, name.encode())
    return root


def write(path: Path, body: bytes, mtime_s: float = THEN_S) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body)
    os.utime(path, (mtime_s, mtime_s))


def put(
    model: S3Model, key: str, body: bytes, etag: str = "", modified_s: float = THEN_S, **more: Any
) -> None:
    etag = etag or hashlib.md5(body).hexdigest()
    model.objects[f"{BUCKET}/{key}"] = StoredObject(body, len(body), etag, modified_s=modified_s, **more)


def holding(tree: Path, prefix: str = "p/", **options: Any) -> S3Model:
    model = S3Model(**options)
    for path in tree.rglob("*"):
        if path.is_file():
            put(model, prefix + path.relative_to(tree).as_posix(), path.read_bytes())
    return model


def sync(
    server: FaultServer, sources: Any, destination: str = f"s3://{BUCKET}/p", **arguments: Any
) -> UploadSummary:
    arguments.setdefault("config", config())
    return run(server, lambda client: sync_files(sources, destination, client=client, **arguments))


def sent(server: FaultServer) -> list[str]:
    return sorted(request.key for request in server.of("PUT"))


def test_what_is_there_is_not_sent_and_not_asked_for(fault_server: StartFaultServer, tree: Path) -> None:
    server = fault_server(model=holding(tree, keys_per_page=2))
    summary = sync(server, tree)
    assert (summary.uploaded, summary.unchanged, summary.notes) == (0, 6, ())
    assert {(request.method, request.key) for request in server.requests} == {("GET", "")}
    assert "6 unchanged" in str(summary)


def test_what_is_missing_larger_smaller_or_newer_is_sent(fault_server: StartFaultServer, tree: Path) -> None:
    model = holding(tree)
    server = fault_server(model=model)
    del model.objects[f"{BUCKET}/p/a-b/c"]
    write(tree / "a", b"larger")
    write(tree / "d/e", b"")
    write(tree / "d/f", b"d/F", THEN_S + 1)
    summary = sync(server, tree)
    assert sent(server) == ["p/a", "p/a-b/c", "p/d/e", "p/d/f"]
    assert (summary.uploaded, summary.unchanged) == (4, 2)
    assert stored(server)["p/d/f"] == b"d/F"
    assert sync(server, tree).uploaded == 0  # objects are written now, later than their files


def test_by_size_times_do_not_count(fault_server: StartFaultServer, tree: Path) -> None:
    server = fault_server(model=holding(tree))
    write(tree / "d/f", b"d/F", THEN_S + 1)
    assert sync(server, tree, compare="size").unchanged == 6


def test_by_checksum_a_changed_byte_of_the_same_size_and_time_is_found(
    fault_server: StartFaultServer, tree: Path
) -> None:
    server = fault_server(model=holding(tree))
    write(tree / "d/f", b"d/F")
    write(tree / "d/e", b"d/e", THEN_S + 1)  # newer, but the same
    summary = sync(server, tree, compare="checksum")
    assert sent(server) == ["p/d/f"]
    assert (summary.unchanged, summary.notes) == (5, ())


@pytest.mark.parametrize("part_size", [5 * MIB, 7 * MIB, 8 * MIB, 16 * MIB, 50 * MIB])
def test_objects_in_parts_are_the_same_whatever_the_size_of_these(
    fault_server: StartFaultServer, tmp_path: Path, part_size: int
) -> None:
    body = os.urandom(17 * MIB + 5)
    write(tmp_path / "big", body)
    model = S3Model()
    put(model, "big", body, etag_in_parts(body, part_size), part_size=part_size)
    server = fault_server(model=model)
    assert sync(server, tmp_path, f"s3://{BUCKET}", compare="checksum").unchanged == 1
    assert {request.method for request in server.requests} <= {"GET", "HEAD"}
    write(tmp_path / "big", body[:-1] + bytes([body[-1] ^ 1]))
    summary = sync(server, tmp_path, f"s3://{BUCKET}", compare="checksum")
    assert (summary.uploaded, summary.notes) == (1, ())


def test_an_encrypted_objects_etag_proves_nothing_but_its_checksum_does(
    fault_server: StartFaultServer, tree: Path
) -> None:
    kms = {"x-amz-server-side-encryption": "aws:kms"}
    model = S3Model()
    put(model, "p/a", b"a", "0" * 32, headers=kms, checksums={"x-amz-checksum-crc32": "6Le+Qw=="})
    put(model, "p/a.txt", b"a.txt", "0" * 32, headers=kms, checksums={"x-amz-checksum-crc32": "6Le+Qw=="})
    put(model, "p/d/e", b"d/e", "0" * 32, headers=kms)
    put(model, "p/d/f", b"d/f", "0" * 32, headers=kms, modified_s=THEN_S - 1)
    server = fault_server(model=model)
    summary = sync(server, tree, compare="checksum", exclude=["a-b", "ä*"])
    assert sent(server) == ["p/a.txt", "p/d/f"]
    assert summary.unchanged == 2
    assert summary.notes == (
        "2 objects were compared by size and time alone: the store keeps no checksum of them, and their "
        "ETags are no MD5s",
    )


def test_an_etag_that_is_no_md5_counts_by_size_and_time(fault_server: StartFaultServer, tree: Path) -> None:
    model = holding(tree)
    put(model, "p/a", b"a", "abc")
    server = fault_server(model=model)
    summary = sync(server, tree, compare="checksum")
    assert (summary.uploaded, summary.unchanged) == (0, 6)
    assert "1 object was compared by size and time alone" in summary.notes[0]


def test_parts_of_a_size_that_the_store_does_not_tell_prove_nothing(
    fault_server: StartFaultServer, tmp_path: Path
) -> None:
    body = os.urandom(17 * MIB + 5)
    write(tmp_path / "big", body)
    model = S3Model()
    put(model, "big", body, etag_in_parts(body, 9_000_000))
    summary = sync(fault_server(model=model), tmp_path, f"s3://{BUCKET}", compare="checksum")
    assert summary.unchanged == 1
    assert "in parts of a size that the store does not tell" in summary.notes[0]


def test_sources_are_compared_in_the_order_of_keys_whatever_their_own(
    fault_server: StartFaultServer, tree: Path
) -> None:
    model = holding(tree / "d", "p/d/")
    put(model, "p/a.txt", b"a.txt")
    put(model, "p/c", b"a-b/c")
    server = fault_server(model=model)
    summary = sync(server, [tree / "d", tree / "a.txt", f"{tree}/a-b/."])
    assert sent(server) == []
    assert summary.unchanged == 4


def test_one_file_is_compared_with_its_very_key(fault_server: StartFaultServer, tree: Path) -> None:
    model = S3Model()
    put(model, "p/x", b"a")
    server = fault_server(model=model)
    assert sync(server, tree / "a", f"s3://{BUCKET}/p/x").unchanged == 1
    assert server.requests[0].query["prefix"] == "p/x"


def test_bytes_are_compared_by_their_checksum_and_streams_are_sent(fault_server: StartFaultServer) -> None:
    model = S3Model()
    put(model, "k/1", b"same")
    put(model, "k/2", b"else")
    put(model, "k/3", b"stream")
    server = fault_server(model=model)
    sources = [
        ObjectSource.stream([b"stream"], "k/3"),
        ObjectSource.data(b"ELSE", "k/2"),
        ObjectSource.data(b"same", "k/1"),
    ]  # fmt: skip
    summary = sync(server, sources, f"s3://{BUCKET}")
    assert sent(server) == ["k/2", "k/3"]
    assert summary.unchanged == 1
    assert server.requests[0].query["start-after"] == "k/"


def test_bytes_that_nothing_proves_are_sent(fault_server: StartFaultServer) -> None:
    model = S3Model()
    put(model, "k/1", b"other", "no-md5")
    server = fault_server(model=model)
    summary = sync(server, [ObjectSource.data(b"bytes", "k/1")], f"s3://{BUCKET}", compare="mtime")
    assert (sent(server), summary.unchanged, summary.notes) == (["k/1"], 0, ())


def test_what_a_list_names_twice_is_sent_once(fault_server: StartFaultServer, tree: Path) -> None:
    server = fault_server()
    summary = sync(server, tree, files_from=["d/e", "a", "d", tree / "a", "d/e"])
    assert sent(server) == ["p/a", "p/d/e", "p/d/f"]
    assert summary.uploaded == 3


@pytest.mark.parametrize("order", ["size,desc", "mtime", "name,desc"])
def test_an_order_other_than_that_of_the_keys_is_refused(tmp_path: Path, order: Any) -> None:
    given: Any = {"order": order}
    with pytest.raises(ConfigError, match=f"order {order}: what is compared goes in the order of its keys"):
        asyncio.run(sync_files(tmp_path, f"s3://{BUCKET}", **given))


def test_sources_out_of_order_are_refused(fault_server: StartFaultServer) -> None:
    server = fault_server()
    sources = (ObjectSource.data(b"", key) for key in ("b", "a"))
    with pytest.raises(ConfigError, match="a: comes after b: sources to be compared must come in the order"):
        sync(server, sources, f"s3://{BUCKET}")


def test_an_async_iterable_is_compared_too(fault_server: StartFaultServer) -> None:
    server = fault_server()
    put(server.model, "a", b"1")

    async def sources() -> Any:
        yield ObjectSource.data(b"1", "a")
        yield ObjectSource.data(b"2", "b")

    summary = sync(server, sources(), f"s3://{BUCKET}")
    assert (summary.uploaded, summary.unchanged) == (1, 1)


def test_what_cannot_be_read_is_told_as_by_an_upload(fault_server: StartFaultServer, tree: Path) -> None:
    server = fault_server(model=holding(tree))
    (tree / "link").symlink_to("nowhere")
    os.mkfifo(tree / "pipe")
    summary = sync(server, tree)
    assert [report.source for report in summary.failed] == [str(tree / "link")]
    assert [report.source for report in summary.skipped] == [str(tree / "pipe")]
    assert summary.unchanged == 6


@pytest.mark.parametrize("compare", ["time", "checksum"])
def test_a_store_that_does_not_list_ends_it(fault_server: StartFaultServer, tree: Path, compare: Any) -> None:
    server = fault_server([Rule(s3_error(403, "AccessDenied"), method="GET")])
    with pytest.raises(RunError, match="s3:ListBucket") as caught:
        sync(server, tree, compare=compare)
    assert caught.value.kind is FailureKind.ACCESS_DENIED
    assert sent(server) == []


def test_an_object_that_may_not_be_asked_about_is_compared_by_time(
    fault_server: StartFaultServer, tree: Path
) -> None:
    server = fault_server([Rule(s3_error(403, "AccessDenied"), method="HEAD")], model=holding(tree))
    write(tree / "a", b"A")
    summary = sync(server, tree, compare="checksum")
    assert summary.unchanged == 6
    assert "HeadObject was answered with 403" in summary.notes[0]


def test_by_mtime_any_other_time_than_that_which_the_object_keeps_is_sent(
    fault_server: StartFaultServer, tree: Path
) -> None:
    server = fault_server(model=S3Model())
    assert sync(server, tree, compare="mtime").uploaded == 6
    assert sync(server, tree, compare="mtime").unchanged == 6
    write(tree / "a", b"A", THEN_S + 1e-6)
    write(tree / "d/e", b"E/e", THEN_S - 5)  # an older file was put back
    assert sync(server, tree, compare="time").unchanged == 6
    summary = sync(server, tree, compare="mtime")
    assert summary.uploaded == 2
    assert summary.unchanged == 4
    assert summary.notes == ()
    assert sync(server, tree, compare="mtime").unchanged == 6


def test_an_object_that_keeps_no_mtime_is_compared_by_when_it_was_written(
    fault_server: StartFaultServer, tree: Path
) -> None:
    server = fault_server(model=holding(tree))
    write(tree / "a", b"A", THEN_S + 1)
    summary = sync(server, tree, compare="mtime")
    assert summary.uploaded == 1
    assert summary.unchanged == 5
    assert summary.notes == (
        "6 objects were compared by size and time alone: they do not tell the time of modification of their "
        "files",
    )


def test_by_mtime_bytes_are_compared_by_their_checksum(fault_server: StartFaultServer) -> None:
    server = fault_server(model=S3Model())
    sources = [ObjectSource.data(b"same", "k")]
    assert sync(server, sources, f"s3://{BUCKET}", compare="mtime").uploaded == 1
    assert sync(server, sources, f"s3://{BUCKET}", compare="mtime").unchanged == 1
    other = [ObjectSource.data(b"sAme", "k")]
    assert sync(server, other, f"s3://{BUCKET}", compare="mtime").uploaded == 1


def test_a_file_that_goes_away_while_it_is_compared_fails_alone(
    fault_server: StartFaultServer, tree: Path
) -> None:
    def script(request: Request) -> None:
        if request.method == "GET":
            (tree / "a").unlink(missing_ok=True)

    server = fault_server(script, model=holding(tree))
    summary = sync(server, tree, compare="checksum")
    assert [report.source for report in summary.failed] == [str(tree / "a")]
    assert summary.unchanged == 5


def test_what_cannot_be_compared_by_is_refused(fault_server: StartFaultServer, tree: Path) -> None:
    with pytest.raises(ConfigError, match=r"compare = 'mood': must be 'time', 'size', 'mtime', 'checksum'"):
        sync(fault_server(), tree, compare="mood")
    with pytest.raises(ConfigError, match="directory buckets"):
        sync(fault_server(), tree, "s3://fast--use1-az4--x-s3/p")


def test_nothing_is_left_when_it_is_cancelled(fault_server: StartFaultServer, tree: Path) -> None:
    """`run` looks for tasks and threads that are left."""

    def progress(report: object) -> None:
        raise ZeroDivisionError

    server = fault_server(model=S3Model(keys_per_page=1))
    with pytest.raises(ZeroDivisionError):
        sync(server, tree, progress=progress)


def test_a_sync_that_is_broken_off_tells_what_it_has_compared(
    fault_server: StartFaultServer, tree: Path
) -> None:
    model = holding(tree)
    write(tree / "new", b"new")

    def progress(report: object) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError) as broken_off:
        sync(fault_server(model=model), tree, progress=progress)
    assert broken_off.value.summary.unchanged == 6  # type: ignore[attr-defined]
