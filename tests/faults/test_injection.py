"""What is evil in keys, prefixes and fields stays what it is: no header, no request, no line of output."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from s3_upload import ConfigError, FailureKind, ObjectSource, RequestFields
from s3_upload.cli.main import main
from tests.faults.uploads import BUCKET, PART_BYTES, Reports, stored, upload

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import StartFaultServer

SPLIT = "\n\nPUT /bucket/evil HTTP/1.1\r\n\r\n"
EVIL = ["\r\nx-evil: 1", SPLIT, "\r", "\0", "\x1b[31m", "\u2028", "%0d%0a", "?x=1"]


@pytest.mark.parametrize("evil", EVIL)
def test_a_key_is_a_key(fault_server: StartFaultServer, evil: str) -> None:
    """Of a PUT and of all requests of an upload in parts."""
    server = fault_server()
    bodies = {f"small{evil}end": b"a", f"{evil}big": bytes(PART_BYTES + 1)}
    files = [ObjectSource.data(body, key) for key, body in bodies.items()]
    assert upload(server, files).uploaded == 2
    assert stored(server) == bodies
    assert {request.key for request in server.requests} == set(bodies)
    assert all("x-evil" not in request.headers for request in server.requests)


@pytest.mark.parametrize("evil", ["\r\nx-evil: 1", "\n", "\r", "\0"])
@pytest.mark.parametrize("field", ["metadata", "metadata name", "content_type", "expires", "acl"])
def test_a_field_that_would_be_a_header_is_refused(
    fault_server: StartFaultServer, evil: str, field: str
) -> None:
    value = f"a{evil}b"
    metadata = {"metadata": {"m": value}, "metadata name": {value: "v"}}.get(field)
    given: dict[str, Any] = {field: value} if metadata is None else {"metadata": metadata}
    fields = RequestFields(**given)
    server, reports = fault_server(), Reports()
    bodies = {"small": b"a", "big": bytes(PART_BYTES + 1)}
    upload(server, bodies, progress=reports, default_request=lambda _: fields)
    assert server.requests == []
    for report in reports:
        assert report.outcome == FailureKind.REJECTED
        assert str(report.error).isprintable()


@pytest.mark.parametrize("evil", ["\r\nx-evil: 1", "\0", "/../other"])
def test_a_bucket_that_would_be_more_is_refused(fault_server: StartFaultServer, evil: str) -> None:
    server = fault_server()
    with pytest.raises(ConfigError, match="bucket = "):
        upload(server, {"a": b"a"}, bucket=f"bucket{evil}")
    assert server.requests == []


def test_the_command_uploads_evil_names_and_tells_each_in_a_line(
    fault_server: StartFaultServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    server = fault_server()
    names = [f"a{evil}b" for evil in EVIL if not set(evil) & {"\0", "/"}]
    for name in names:
        (tmp_path / name).write_bytes(b"a")
    words = [str(tmp_path), f"s3://{BUCKET}/p\r\nx-evil: 1", "--endpoint-url", server.url]
    assert main([*words, "--json"]) == 0
    out, err = capsys.readouterr()
    assert set(stored(server)) == {f"p\r\nx-evil: 1/{name}" for name in names}
    assert all("x-evil" not in request.headers for request in server.requests)
    lines = [json.loads(line) for line in out.removesuffix("\n").split("\n")]
    assert [line["type"] for line in lines if line["type"] != "limits_changed"] == [
        *["upload"] * len(names),
        "summary",
    ]
    assert err == ""
    assert main([*words, "--dryrun", "--no-journal"]) == 0
    out, _ = capsys.readouterr()
    assert len(out.splitlines()) == len(names) + 1, "and one of the totals"
    assert all(line.isprintable() for line in out.splitlines())
