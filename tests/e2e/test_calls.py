"""`upload`, `start_upload` and `upload_async` against real servers: one implementation, three ways."""

from __future__ import annotations

import asyncio
import inspect
import io
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints

import pytest

from s3_upload import (
    AttemptEnded,
    ConfigError,
    Credentials,
    Event,
    Listening,
    ObjectBegun,
    ObjectEnded,
    ObjectSource,
    RequestFields,
    RunError,
    S3Client,
    Settings,
    UploadConfig,
    UploadReport,
    UploadSummary,
    running,
    start_upload,
    upload,
    upload_async,
)
from s3_upload.adapters import boto3_client
from s3_upload.units import Bandwidth
from tests.faults.actions import Rule, Stall, s3_error
from tests.store import boto3_client as plain_boto3_client

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from tests.conftest import StartFaultServer
    from tests.faults.server import FaultServer
    from tests.store import Store

TIMEOUT_S = 60  # bounds a hang
KEYS = Credentials("key", "secret")


@pytest.fixture
def src(tmp_path: Path) -> Path:
    (tmp_path / "photos" / "sub").mkdir(parents=True)
    (tmp_path / "photos" / "a.txt").write_bytes(b"a" * 3_000)
    (tmp_path / "photos" / "sub" / "b").write_bytes(b"b" * 70_000)
    return tmp_path / "photos"


@pytest.fixture
def in_src(src: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(src.parent)


def account(store: Store) -> dict[str, Any]:
    return {
        "endpoint_url": store.endpoint_url,
        "credentials": Credentials(store.access_key, store.secret_key),
    }


def at(server: FaultServer) -> dict[str, Any]:
    return {"endpoint_url": server.url, "credentials": KEYS}


def objects(count: int) -> list[ObjectSource]:
    return [ObjectSource.data(b"x", f"{number:03}") for number in range(count)]


async def started(sources: Any, url: str, **options: Any) -> UploadSummary:
    async with start_upload(sources, url, **options) as run:
        return await run


def in_a_loop(sources: Any, url: str, **options: Any) -> UploadSummary:
    async def main() -> UploadSummary:
        return upload(sources, url, **options)

    return asyncio.run(main())


CALLS: dict[str, Callable[..., UploadSummary]] = {
    "upload": upload,
    "upload in a loop": in_a_loop,
    "upload_async": lambda *words, **options: asyncio.run(upload_async(*words, **options)),
    "start_upload": lambda *words, **options: start_upload(*words, **options).wait(),
    "start_upload in a loop": lambda *words, **options: asyncio.run(started(*words, **options)),
}
call = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)


# --- all of them ------------------------------------------------------------------------------------


@call
def test_a_directory_arrives_with_the_keys_that_the_command_gives(
    call: Callable[..., UploadSummary], store: Store, bucket: str, src: Path
) -> None:
    reports: list[UploadReport] = []
    events: list[Event] = []
    summary = call(src, f"s3://{bucket}/p", progress=reports.append, events=events.append, **account(store))
    assert store.objects(bucket) == {"p/a.txt": b"a" * 3_000, "p/sub/b": b"b" * 70_000}
    assert (summary.uploaded, summary.bytes) == (2, 73_000)
    assert sorted(report.key for report in reports) == ["p/a.txt", "p/sub/b"]
    assert [type(event) for event in events].count(ObjectEnded) == 2
    assert store.client.head_object(Bucket=bucket, Key="p/a.txt")["ContentType"] == "text/plain"


@call
def test_what_stops_the_run_is_raised_with_what_was_done_by_then(
    call: Callable[..., UploadSummary], fault_server: StartFaultServer
) -> None:
    denied = s3_error(403, "AccessDenied")
    server = fault_server(lambda request: denied if request.key > "001" else None)
    options = {"max_in_flight": 1, "n_retries": 0, "share": "fair"}
    with pytest.raises(RunError, match="AccessDenied") as caught:
        call(objects(400), "s3://bucket", **options, **at(server))
    summary = caught.value.summary
    assert isinstance(summary, UploadSummary)
    assert (summary.uploaded, bool(summary.limits), bool(summary.pace)) == (2, True, True)


@call
def test_an_object_that_fails_is_in_the_summary(
    call: Callable[..., UploadSummary], fault_server: StartFaultServer
) -> None:
    server = fault_server([Rule(s3_error(400, "InvalidRequest"), key="001")])
    summary = call(objects(3), "s3://bucket", **at(server))
    assert (summary.uploaded, [report.key for report in summary.failed]) == (2, ["001"])


WRONG = {
    "sources='nope'": ({"sources": "nope"}, "nope: no such file or directory"),
    "sources=[]": ({"sources": []}, "sources: there are none: give paths, or ObjectSources"),
    "no destination": (
        {"destination": "bucket/p"},
        "bucket/p: the destination must look like s3://BUCKET/PREFIX",
    ),
    "no bucket": ({"destination": "s3://"}, "s3://: no bucket is named, expected s3://BUCKET/PREFIX"),
    "a prefix before whole keys": (
        {"sources": [ObjectSource.data(b"", "k")]},
        "s3://bucket/p: an ObjectSource has its whole key: give s3://bucket, and the prefix in the keys",
    ),
    "patterns for sources": (
        {"sources": [ObjectSource.data(b"", "k")], "destination": "s3://bucket", "exclude": "x"},
        "filter, exclude, order, …: for paths only; an iterable gives what is wanted",
    ),
    "share": ({"share": "half"}, "share = 'half': must be 'full' or 'fair' or 'background'"),
    "part_size": ({"part_size": "8 MX"}, "part_size = '8 MX': 8 MX is no size: "),
    "config and a field": (
        {"config": UploadConfig(), "n_retries": 1},
        "config and n_retries do not go together: leave one out",
    ),
    "fields and default_request": (
        {"fields": RequestFields(), "default_request": lambda source: None},
        "fields and default_request do not go together: leave one out",
    ),
    "profile": ({"profile": "nope"}, "profile 'nope' is neither in "),
    "endpoint_url": ({"endpoint_url": "localhost:9000"}, "endpoint_url"),
}


@call
@pytest.mark.parametrize(("wrong", "message"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_a_config_error_before_anything_is_begun(
    call: Callable[..., UploadSummary], src: Path, wrong: dict[str, Any], message: str
) -> None:
    options: dict[str, Any] = {"sources": src, "destination": "s3://bucket/p"} | wrong
    with pytest.raises(ConfigError) as caught:
        call(options.pop("sources"), options.pop("destination"), **options)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"sources": 7}, "sources: must be a path, several, or an iterable of ObjectSource, not int"),
        ({"sources": b"photos"}, "sources: must be a path, several, or an iterable of ObjectSource, not "),
        ({"sources": [".", 7]}, "an item of sources: must be a path, as the first is, not int"),
        (
            {"sources": io.BytesIO(b"a")},
            "sources: must be a path, several, or an iterable of ObjectSource, not BytesIO; "
            "ObjectSource.stream(file, key) makes a source of a binary file",
        ),
        ({"sources": [7]}, "an item of files: must be ObjectSource, not int"),
        ({"sources": [None]}, "an item of files: must be ObjectSource, not None"),
        ({"sources": iter([None])}, "an item of files: must be ObjectSource, not None"),
        ({"sources": [*objects(1), "b"]}, "an item of files: must be ObjectSource, not str; use Object"),
        ({"destination": Path("s3://bucket")}, "destination: must be str, not "),
        ({"progress": 7}, "progress: must be callable or None, not int"),
        ({"events": 7}, "events: must be callable or None, not int"),
        ({"events": asyncio.sleep}, "events: must be no coroutine function, which nobody awaits; use"),
        ({"progress": "yes"}, "progress: must be callable or None, not str; True shows a screen"),
        ({"fields": {}}, "fields: must be RequestFields or None, not dict"),
        ({"n_retry": 3}, "n_retry: no such argument, and no field of UploadConfig; did you mean n_retries?"),
        ({"endpoint": "x"}, "endpoint: no such argument, and no field of UploadConfig; did you mean endp"),
    ],
)
def test_what_is_of_a_wrong_type_is_a_type_error_that_names_it(wrong: dict[str, Any], message: str) -> None:
    options: dict[str, Any] = {"sources": ".", "destination": "s3://bucket/p"} | wrong
    with pytest.raises(TypeError) as caught:
        upload(**options)
    assert str(caught.value).startswith(message)


def test_all_have_the_same_arguments_and_each_field_of_the_configuration_is_one() -> None:
    first, *others = (inspect.signature(function) for function in (upload, start_upload, upload_async))
    assert all(other.parameters == first.parameters for other in others)
    hints, settings = get_type_hints(UploadConfig), get_type_hints(Settings)
    del hints["copy_parallelization"]  # the origin's name of another one
    assert settings.keys() == hints.keys()
    for name, hint in hints.items():
        assert settings[name] in {hint, hint | str if hint in {int, float} else hint}, name


@pytest.mark.parametrize(
    ("sources", "prefix", "keys"),
    [
        (["photos/a.txt"], "", ["a.txt"]),
        ("photos/a.txt", "p", ["p"]),
        (Path("photos"), "", ["a.txt", "sub/b"]),
        (["photos/sub", Path("photos/a.txt")], "p", ["p/a.txt", "p/sub/b"]),
        ((path for path in ["photos/sub", "photos/a.txt"]), "p", ["p/a.txt", "p/sub/b"]),
        (ObjectSource.data(b"", "k"), "", ["k"]),
        ((source for source in objects(2)), "", ["000", "001"]),
    ],
)
@pytest.mark.usefixtures("in_src")
def test_sources_of_all_kinds(store: Store, bucket: str, sources: Any, prefix: str, keys: list[str]) -> None:
    upload(sources, f"s3://{bucket}/{prefix}", **account(store)).raise_for_failures()
    assert sorted(store.keys(bucket)) == keys


def test_patterns_leave_out_what_they_match(store: Store, bucket: str, src: Path) -> None:
    upload(src, f"s3://{bucket}", exclude="*", include=["*.txt"], **account(store)).raise_for_failures()
    assert list(store.keys(bucket)) == ["a.txt"]


def test_fields_go_with_every_object_that_has_none_of_its_own(fault_server: StartFaultServer) -> None:
    own = RequestFields(cache_control="no-store")
    files = [ObjectSource.data(b"", "a.txt"), ObjectSource.data(b"", "b.txt", fields=own)]
    server = fault_server()
    upload(files, "s3://bucket", fields=RequestFields(storage_class="GLACIER"), **at(server))
    heads = {request.key: request.headers for request in server.requests}
    assert heads["a.txt"]["x-amz-storage-class"] == "GLACIER"
    assert heads["a.txt"]["content-type"] == "text/plain"
    assert "x-amz-storage-class" not in heads["b.txt"]
    assert heads["b.txt"]["cache-control"] == "no-store"


# --- where what is given is called, and by which client ----------------------------------------------


def test_without_a_loop_all_is_called_in_the_callers_thread(store: Store, bucket: str, src: Path) -> None:
    found: list[object] = []
    upload(
        src, f"s3://{bucket}", progress=lambda _: found.append(threading.current_thread()), **account(store)
    )
    assert set(found) == {threading.current_thread()}


@pytest.mark.parametrize("call", [upload, in_a_loop], ids=["no loop", "in a loop"])
def test_the_loop_of_its_own_is_uvloops(call: Any, store: Store, bucket: str, src: Path) -> None:
    found: list[str] = []
    call(
        src, f"s3://{bucket}",
        progress=lambda _: found.append(type(asyncio.get_running_loop()).__module__), **account(store),
    )  # fmt: skip
    assert set(found) == {"uvloop"}


def test_a_client_of_boto3_goes_with_all_and_one_that_has_a_loop_with_the_coroutine(
    store: Store, bucket: str, src: Path
) -> None:
    raw = plain_boto3_client(store.endpoint_url, store.access_key, store.secret_key)
    sdk = boto3_client(raw)
    assert upload(src, f"s3://{bucket}/1", client=sdk).uploaded == 2
    assert in_a_loop(src, f"s3://{bucket}/2", client=sdk).uploaded == 2

    async def main() -> None:
        async with S3Client(**account(store)) as client:
            for prefix in "34":
                summary = await upload_async(src, f"s3://{bucket}/{prefix}", client=client)
                assert summary.uploaded == 2
            with pytest.raises(ConfigError, match="client: lives on one event loop"):
                start_upload(src, f"s3://{bucket}", client=client)
            with pytest.raises(ConfigError, match="client and region do not go together"):
                await upload_async(src, f"s3://{bucket}", client=client, region="x")

    asyncio.run(main())
    raw.close()
    assert len(list(store.keys(bucket))) == 8


# --- the handle -------------------------------------------------------------------------------------


def test_a_handle_gives_all_events_from_the_first_to_the_last(store: Store, bucket: str, src: Path) -> None:
    with start_upload(src, f"s3://{bucket}", **account(store)) as run:
        events = list(run)
        assert run.done
    kinds = [type(event) for event in events]
    assert kinds.count(ObjectBegun) == kinds.count(AttemptEnded) == kinds.count(ObjectEnded) == 2
    assert run.summary().uploaded == 2
    assert run.wait() is run.summary()
    assert list(run) == []


def test_a_handle_gives_its_events_to_async_for(store: Store, bucket: str, src: Path) -> None:
    async def main() -> None:
        ended = []
        async with start_upload(src, f"s3://{bucket}", **account(store)) as run:
            async for event in run:
                if isinstance(event, ObjectEnded):
                    ended.append(event.report.key)
        assert sorted(ended) == ["a.txt", "sub/b"]
        assert (await run).uploaded == 2

    asyncio.run(main())


def test_of_events_that_nobody_reads_the_newest_are_kept(
    fault_server: StartFaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "MAX_UNREAD", 10)
    with start_upload(objects(100), "s3://bucket", **at(fault_server())) as run:
        assert run.wait().uploaded == 100
        assert len(list(run)) == 10


def test_a_listener_that_raises_is_not_called_again_and_its_error_has_the_summary(
    fault_server: StartFaultServer,
) -> None:
    """It was called once more by the end of the run, which then ended nothing more: no abort, no summary."""
    heard: list[object] = []

    def listen(event: object) -> None:
        heard.append(event)
        raise ValueError("mine")

    server = fault_server([Rule(Stall(), key="002")])
    with pytest.raises(ValueError, match="mine") as caught:
        upload(objects(3), "s3://bucket", events=listen, **at(server))
    assert len(heard) == 1
    assert isinstance(getattr(caught.value, "summary", None), UploadSummary)


def test_of_two_who_read_at_once_none_waits_for_ever(fault_server: StartFaultServer) -> None:
    server = fault_server([Rule(Stall(), key="003")])

    async def main() -> None:
        run = start_upload(objects(4), "s3://bucket", hedge="off", grace_s=0.2, **at(server))

        async def read() -> int:
            return len([None async for event in run if isinstance(event, ObjectEnded)])

        readers = [asyncio.create_task(read()) for _ in range(2)]
        await asyncio.to_thread(server.wait_until, lambda: server.counts["200"] == 3)
        run.cancel()
        async with asyncio.timeout(TIMEOUT_S):
            assert sum(await asyncio.gather(*readers)) == run.summary().uploaded

    asyncio.run(main())


def test_a_run_waits_for_a_reader_that_is_slow_and_no_event_is_lost(
    fault_server: StartFaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "MAX_UNREAD", 10)
    server = fault_server()
    most, ended = 0, 0
    with start_upload(objects(2_000), "s3://bucket", max_in_flight=4, **at(server)) as run:
        events = iter(run)
        next(events)
        server.wait_until(lambda: server.counts["requests"] >= 10)
        for event in events:
            ended += isinstance(event, ObjectEnded)
            most = max(most, run.summary().uploaded - ended)
    assert ended == 2_000
    assert most < 1_000  # it was never done long before it was told


def test_who_reads_no_more_holds_up_nothing(
    fault_server: StartFaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "MAX_UNREAD", 10)
    with start_upload(objects(500), "s3://bucket", **at(fault_server())) as run:
        events = iter(run)
        next(events)
        assert run.wait(TIMEOUT_S).uploaded == 500


def stalled(server: FaultServer, count: int = 4, **options: Any) -> running.Running:
    """A run of which all objects are uploaded but the last, whose answer does not come."""
    run = start_upload(objects(count), "s3://bucket", hedge="off", grace_s=0.2, **at(server), **options)
    server.wait_until(lambda: server.counts["200"] == count - 1 and server.in_flight == 1)
    for event in run:
        if isinstance(event, ObjectEnded) and run.summary().uploaded == count - 1:
            break
    return run


def test_a_cancelled_run_ends_with_what_was_done(fault_server: StartFaultServer) -> None:
    """And with what a whole run tells."""
    run = stalled(fault_server([Rule(Stall(), key="003")]), share="fair")
    assert (run.done, run.summary().uploaded) == (False, 3)
    run.cancel()
    summary = run.wait(TIMEOUT_S)
    assert (summary.uploaded, bool(summary.limits), bool(summary.pace)) == (3, True, True)
    assert (run.done, run.cancelled) == (True, True)


def test_an_exception_that_leaves_the_with_cancels_the_run(fault_server: StartFaultServer) -> None:
    class OursError(Exception):
        pass

    with pytest.raises(OursError), stalled(fault_server([Rule(Stall(), key="003")])) as run:
        raise OursError
    assert (run.done, run.cancelled, run.summary().uploaded) == (True, True, 3)

    async def main() -> running.Running:
        async with stalled(fault_server([Rule(Stall(), key="003")])) as run:
            raise OursError
        return run

    with pytest.raises(OursError):
        asyncio.run(main())


def test_waiting_has_an_end_if_asked_for(fault_server: StartFaultServer) -> None:
    run = stalled(fault_server([Rule(Stall(), key="003")]))
    with pytest.raises(TimeoutError):
        run.wait(0.01)
    run.cancel()
    run.wait(TIMEOUT_S)


def test_the_limit_is_changed_while_it_runs(fault_server: StartFaultServer) -> None:
    with stalled(fault_server([Rule(Stall(), key="003")])) as run:
        with pytest.raises(ConfigError, match="max_bandwidth = '20': must be"):
            run.limit("20")
        run.limit("20MB/s")
        assert run._pace.bandwidth == Bandwidth(bytes_per_s=20e6)  # which the pacer heeds at its next tick
        with pytest.raises(ConfigError, match="max_bandwidth = 20: must be a text such as '20MB/s', or ''"):
            run.limit(20)  # type: ignore[arg-type]
        for nothing in ("", None):
            run.limit("80%")
            run.limit(nothing)
            assert run._pace.bandwidth is None
        server_side = run.summary()
        run.cancel()
    assert server_side.uploaded == 3


def test_the_coroutine_that_is_cancelled_tells_what_was_done(fault_server: StartFaultServer) -> None:
    server = fault_server([Rule(Stall(), key="003")])

    async def main() -> None:
        task = asyncio.create_task(
            upload_async(objects(4), "s3://bucket", hedge="off", grace_s=0.2, **at(server))
        )
        stop = asyncio.to_thread(server.wait_until, lambda: server.counts["200"] == 3)
        await stop
        while True:  # the answers are on their way
            await asyncio.sleep(0)
            if server.in_flight == 1:
                break
        task.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await task
        assert isinstance(caught.value.summary, UploadSummary)  # type: ignore[attr-defined]

    asyncio.run(main())


def test_a_listening_says_which_events_are_wanted(store: Store, bucket: str, src: Path) -> None:
    found: list[Event] = []
    upload(src, f"s3://{bucket}", events=Listening(found.append, frozenset({ObjectEnded})), **account(store))
    assert [type(event) for event in found] == [ObjectEnded] * 2


async def chunks() -> AsyncIterator[bytes]:
    yield b"stream"


def test_a_stream_goes_with_all(store: Store, bucket: str) -> None:
    async def sources() -> AsyncIterator[ObjectSource]:
        yield ObjectSource.stream(chunks(), "k")

    assert upload(sources(), f"s3://{bucket}", **account(store)).uploaded == 1
    assert store.objects(bucket) == {"k": b"stream"}
