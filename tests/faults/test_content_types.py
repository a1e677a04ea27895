"""The content types that a store is told: by the calls, and by the command."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from s3_upload import ConfigError, Credentials, ObjectSource, RequestFields, upload
from s3_upload.cli.main import main

if TYPE_CHECKING:
    from tests.conftest import StartFaultServer
    from tests.faults.server import FaultServer


@pytest.fixture
def src(tmp_path: Path) -> Path:
    (tmp_path / "my.types").write_text("text/x-gcode gcode\n")
    (tmp_path / "src").mkdir()
    for name in ("a.gcode", "a.js.gz", "a.csv.gz", "a.ts", "a"):
        (tmp_path / "src" / name).write_text(name)
    return tmp_path / "src"


def told(server: FaultServer) -> dict[str, tuple[str | None, str | None]]:
    """Of each key: type and encoding."""
    return {
        request.key: (request.headers.get("content-type"), request.headers.get("content-encoding"))
        for request in server.of("PUT")
    }


EXPECTED = {
    "a.gcode": ("text/x-gcode", None),
    "a.js.gz": ("text/javascript", "gzip"),
    "a.csv.gz": ("application/gzip", None),
    "a.ts": ("video/mp2t", None),
    "a": (None, None),
}


def test_the_calls_tell_types_of_ones_own_and_ours(fault_server: StartFaultServer, src: Path) -> None:
    server = fault_server()
    account = Credentials("key", "secret")
    for fields in (None, RequestFields(cache_control="no-store")):
        server.requests.clear()
        types = src.parent / "my.types"
        store = {"endpoint_url": server.url, "region": "us-east-1", "credentials": account}
        upload(src, "s3://bucket", content_types=types, fields=fields, **store)  # type: ignore[arg-type]
        assert told(server) == EXPECTED
        assert {r.headers.get("cache-control") for r in server.of("PUT")} == {fields and "no-store"}
    own = ObjectSource.data(b"", "x.gcode", fields=RequestFields(acl="private"))
    upload(own, "s3://bucket", content_types={"gcode": "a/b"}, **store)  # type: ignore[arg-type]
    assert told(server)["x.gcode"] == ("a/b", None)


def test_who_says_all_of_it_needs_no_types_beside_that(src: Path) -> None:
    with pytest.raises(ConfigError, match="content_types and default_request do not go together"):
        upload(src, "s3://bucket", content_types={}, default_request=lambda _: None)


def test_the_command_tells_types_of_ones_own_and_ours(
    fault_server: StartFaultServer, src: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = fault_server()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    flags = ["--endpoint-url", server.url, "--content-type-map", str(src.parent / "my.types")]
    assert main([str(src), "s3://bucket", *flags]) == 0
    assert told(server) == EXPECTED
