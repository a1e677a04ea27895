"""Files whose size tells nothing: FIFOs that are given, what a shell makes of <(command), files of /proc."""

from __future__ import annotations

import os
import random
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from s3_upload import Credentials, UploadConfig, UploadSummary, upload
from s3_upload.sources.unsized import stream_at
from s3_upload.sources.walk import files_recursive
from tests.faults.actions import Rule, s3_error
from tests.faults.uploads import BUCKET, Reports, stored

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import StartFaultServer
    from tests.faults.server import FaultServer

BIG = random.Random(5).randbytes(12 << 20)
VERSION = Path("/proc/version")


def upload_to(server: FaultServer, sources: Any, key: str = "", **arguments: Any) -> UploadSummary:
    account = Credentials("key", "secret")
    store: dict[str, Any] = {"endpoint_url": server.url, "region": "us-east-1", "credentials": account}
    return upload(sources, f"s3://{BUCKET}/{key}", **store, **arguments)


@pytest.fixture
def fifo(tmp_path: Path) -> Callable[[bytes], Path]:
    """Makes a FIFO to which somebody writes."""

    def make(data: bytes) -> Path:
        path = tmp_path / "fifo"
        os.mkfifo(path)

        def write() -> None:
            with suppress(BrokenPipeError), path.open("wb", buffering=0) as file:
                for start in range(0, len(data), 1 << 20):
                    file.write(data[start : start + (1 << 20)])

        threading.Thread(target=write, daemon=True).start()
        return path

    return make


@pytest.mark.parametrize("data", [b"", b"hello", BIG], ids=len)
def test_a_fifo_that_is_given_is_a_stream(
    fault_server: StartFaultServer, fifo: Callable[[bytes], Path], data: bytes
) -> None:
    server, reports, path = fault_server(), Reports(), fifo(data)
    upload_to(server, path, "name", progress=reports).raise_for_failures()
    assert stored(server) == {"name": data}
    assert reports.of("name").source == str(path)


def test_one_that_is_met_in_a_directory_is_skipped(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (source,) = files_recursive(tmp_path)
    assert source.skip_reason == "is a FIFO"


def test_a_pipe_by_its_descriptor_is_a_stream(fault_server: StartFaultServer) -> None:
    """As <(command) is."""
    server = fault_server()
    theirs, ours = os.pipe()
    os.write(ours, b"from a pipe")
    os.close(ours)
    upload_to(server, f"/dev/fd/{theirs}", "name").raise_for_failures()
    os.close(theirs)
    assert stored(server) == {"name": b"from a pipe"}


def test_what_came_by_a_fifo_is_sent_again_from_memory(
    fault_server: StartFaultServer, fifo: Callable[[bytes], Path]
) -> None:
    server = fault_server([Rule(s3_error(400, "BadDigest"), nth=1)])
    upload_to(server, fifo(b"hello"), "name").raise_for_failures()
    assert stored(server) == {"name": b"hello"}
    assert len(server.of("PUT")) == 2


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
@pytest.mark.parametrize("if_exists", ["overwrite", "skip"])
def test_a_file_that_claims_to_be_empty_and_is_not_arrives(
    fault_server: StartFaultServer, if_exists: Any
) -> None:
    assert VERSION.stat().st_size == 0
    server, reports = fault_server(), Reports()
    config = UploadConfig(if_exists=if_exists)
    upload_to(server, VERSION, "version", progress=reports, config=config).raise_for_failures()
    content = VERSION.read_bytes()
    assert stored(server) == {"version": content}
    assert (reports.of("version").source, reports.of("version").bytes) == (str(VERSION), len(content))


@pytest.mark.skipif(sys.platform != "linux", reason="/sys is Linux's")
def test_a_file_that_claims_to_have_a_page_and_has_less_arrives(fault_server: StartFaultServer) -> None:
    address = Path("/sys/class/net/lo/address")
    assert address.stat().st_size > len(address.read_bytes())
    server = fault_server()
    upload_to(server, address, "address").raise_for_failures()
    assert stored(server) == {"address": address.read_bytes()}


def test_an_empty_file_is_one(fault_server: StartFaultServer, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    server = fault_server()
    upload_to(server, tmp_path).raise_for_failures()
    assert stored(server) == {"empty": b""}


def test_one_that_cannot_be_read_is_one_line(fault_server: StartFaultServer, tmp_path: Path) -> None:
    gone = str(tmp_path / "gone")
    (failed,) = upload_to(fault_server(), [stream_at(gone, "gone")]).failed
    assert failed.reason == f"{gone}: No such file or directory"
