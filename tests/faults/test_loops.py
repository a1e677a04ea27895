"""One `S3Client` on several event loops, in threads and after a fork."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import threading
import warnings
from typing import TYPE_CHECKING

import pytest

from s3_upload import ConfigError, Credentials, ObjectSource, S3Client, s3_upload_files
from s3_upload.account.botocore import BotocoreCredentials
from tests.faults.actions import Rule, Stall
from tests.faults.uploads import BUCKET, config, stored

if TYPE_CHECKING:
    from collections.abc import Iterator

    from s3_upload import UploadSummary
    from tests.conftest import StartFaultServer
    from tests.faults.server import FaultServer

ENDS_AT_ONCE = """
import sys
from s3_upload import Credentials, ObjectSource, start_upload

sources = [ObjectSource.data(b"x", key) for key in "abc"]
given = {"credentials": Credentials("k", "s"), "region": "us-east-1", "proxy": "none"}
run = start_upload(sources, "s3://bucket", endpoint_url=sys.argv[1], n_retries=0, **given)
"""

ASKS_LATE = """
import sys, threading
from s3_upload import Credentials, ObjectSource, RunError, start_upload

def asks():
    threading.main_thread().join()
    given = {"credentials": Credentials("k", "s"), "region": "us-east-1", "proxy": "none"}
    run = start_upload([ObjectSource.data(b"x", "a")], "s3://bucket", endpoint_url=sys.argv[1], **given)
    try:
        run.wait()
    except RunError:
        print("handled")

threading.Thread(target=asks).start()
"""

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")


@pytest.fixture(autouse=True)
def connections_left_open() -> Iterator[None]:
    """By a loop that is over: Python warns of them, and here that is what is to be."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


def client_of(server: FaultServer) -> S3Client:
    return S3Client(endpoint_url=server.url, sign=False)


async def put(client: S3Client, key: str) -> UploadSummary:
    return await s3_upload_files(client, BUCKET, [ObjectSource.data(b"x", key)], config())


def test_loops_one_after_the_other(fault_server: StartFaultServer) -> None:
    server = fault_server()
    client = client_of(server)

    async def last() -> None:
        async with client:
            await put(client, "c")

    assert asyncio.run(put(client, "a")).uploaded == 1
    assert asyncio.run(put(client, "b")).uploaded == 1
    asyncio.run(last())
    assert set(stored(server)) == {"a", "b", "c"}
    with pytest.raises(Exception, match="closed"):
        asyncio.run(put(client, "d"))


def test_a_client_may_be_closed_on_another_loop_than_that_of_its_run(fault_server: StartFaultServer) -> None:
    client = client_of(fault_server())
    asyncio.run(put(client, "a"))
    asyncio.run(client.aclose())
    assert client.open_connections == 0


def test_two_loops_at_a_time_are_refused_in_one_sentence(fault_server: StartFaultServer) -> None:
    server = fault_server([Rule(Stall(), key="held", nth=1)])
    client = client_of(server)
    thread = threading.Thread(target=lambda: asyncio.run(put(client, "held")))
    thread.start()
    server.wait_until(lambda: bool(server.of("PUT")), 30.0)
    with pytest.raises(ConfigError, match="on an event loop in another thread: make one for each"):
        asyncio.run(put(client, "b"))
    server.close_connections()
    thread.join()


def test_after_a_fork_a_client_is_refused_in_one_sentence(
    fault_server: StartFaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = client_of(fault_server())
    asyncio.run(put(client, "a"))
    parent = os.getpid()
    monkeypatch.setattr(os, "getpid", lambda: parent + 1)
    with pytest.raises(ConfigError, match="before this process was forked: make one in each process"):
        asyncio.run(put(client, "b"))


def test_credentials_that_were_being_loaded_when_a_loop_ended_are_loaded_on_the_next(
    fault_server: StartFaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by a program that makes its loops itself, and cancels nothing at their ends."""
    server, goes_on, asked = fault_server(), threading.Event(), threading.Event()

    def fetch(_: BotocoreCredentials, *, renew: bool) -> tuple[Credentials, None]:
        asked.set()
        assert goes_on.wait(30.0)
        return Credentials("key", "secret"), None

    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    monkeypatch.setattr(BotocoreCredentials, "_fetch", fetch)
    client = S3Client(endpoint_url=server.url)

    async def cancelled() -> None:
        uploading = asyncio.ensure_future(put(client, "a"))
        await asyncio.to_thread(asked.wait, 30.0)
        uploading.cancel()
        await asyncio.wait((uploading,))

    loop = asyncio.new_event_loop()
    loop.run_until_complete(cancelled())
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()
    goes_on.set()
    assert asyncio.run(put(client, "b")).uploaded == 1


@pytest.mark.parametrize("is_there", [True, False])
def test_a_program_that_ends_waits_for_what_it_began_and_tells_what_stopped_it(
    fault_server: StartFaultServer, is_there: bool
) -> None:
    server = fault_server()
    if not is_there:
        server.stop()
    words = [sys.executable, "-c", ENDS_AT_ONCE, server.url]
    ended = subprocess.run(words, check=True, timeout=60, capture_output=True, text=True)
    assert set(stored(server)) == (set("abc") if is_there else set())
    last = ended.stderr.splitlines()[-1:]
    assert not last if is_there else "cannot be reached" in last[0]


def test_what_stops_an_upload_is_not_told_beside_the_thread_that_asks(fault_server: StartFaultServer) -> None:
    server = fault_server()
    server.stop()
    words = [sys.executable, "-c", ASKS_LATE, server.url]
    ended = subprocess.run(words, check=True, timeout=60, capture_output=True, text=True)
    assert (ended.stdout, ended.stderr) == ("handled\n", "")
