"""No secret appears in any log, repr, report, error or line of output, at debug level either.

The secrets: secret key, session token, key of SSE-C (in both spellings), password of an endpoint's
URL, and every signature that a server was sent.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import uvloop

from s3_upload import (
    ConfigError,
    Credentials,
    CustomerKey,
    ObjectSource,
    RequestFields,
    RunError,
    S3Client,
    s3_upload_files,
)
from s3_upload.cli.views.render import JsonLines, Table, Text
from tests.faults.actions import Action, Answer, Request, s3_error
from tests.faults.uploads import BUCKET, PART_BYTES, Reports, config
from tests.living import reprs_of_ours

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tests.conftest import StartFaultServer, Tls
    from tests.faults.server import FaultServer

COMMAND = str(Path(sys.executable).with_name("s3-upload"))
SECRET, TOKEN, PASSWORD = "S3CR3T/s3cr3t+key", "T0KEN/t0ken==", "PASSW0RD"
CUSTOMER_KEY = b"0123456789abcdefCUSTOMER-KEY-SSE"
CUSTOMER_KEY_BASE64 = base64.b64encode(CUSTOMER_KEY).decode()
SECRETS = {
    "secret key": SECRET,
    "session token": TOKEN,
    "customer key": CUSTOMER_KEY.decode(),
    "customer key in base64": CUSTOMER_KEY_BASE64,
    "password": PASSWORD,
}


def fields() -> RequestFields:
    """New ones: what there is before the tests begin is not searched."""
    return RequestFields(sse_customer_key=CustomerKey(CUSTOMER_KEY), metadata={"m": "v"})


def found_in(text: str, server: FaultServer | None = None) -> set[str]:
    """Which secrets `text` holds."""
    signatures = _signatures(server.requests) if server else set()
    found = {name for name, secret in SECRETS.items() if secret in text}
    return found | {"signature" for signature in signatures if signature in text}


def _signatures(requests: Iterable[Request]) -> set[str]:
    sent = {request.headers["authorization"].rpartition("Signature=")[2] for request in requests}
    assert all(len(signature) == 64 for signature in sent)
    return sent


def quotes_everything(request: Request) -> Action:
    """What S3 says of a wrong signature: the whole request, in elements that are not the message."""
    headers = "\n".join(f"{name}:{value}" for name, value in request.headers.items())
    body = (
        "<Error><Code>SignatureDoesNotMatch</Code><Message>The signature does not match.</Message>"
        f"<SignatureProvided>{headers}</SignatureProvided><CanonicalRequest>{headers}</CanonicalRequest>"
        f"<Token-0>{TOKEN}</Token-0></Error>"
    )
    return Answer(403, {"x-amz-meta-echo": TOKEN}, body.encode())


SCRIPTS: dict[str, Callable[[Request], Action | None]] = {
    "success": lambda _: None,
    "file fails": lambda _: s3_error(400, "InvalidArgument", "No."),
    "wrong key": quotes_everything,
    "expired token": lambda _: s3_error(400, "ExpiredToken", "The provided token has expired."),
    "checksums refused": lambda r: s3_error(501, "NotImplemented") if r.attempt == 1 else None,
    "server fails": lambda r: s3_error(500, "InternalError") if r.attempt < 3 else None,
}


@pytest.fixture
def files(tmp_path: Path) -> list[ObjectSource]:
    (tmp_path / "big").write_bytes(bytes(PART_BYTES + 1))
    return [ObjectSource.data(b"small", "small"), ObjectSource.file(tmp_path / "big", "big")]


@pytest.mark.parametrize(
    "factory", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"]
)
@pytest.mark.parametrize("name", SCRIPTS)
def test_logs_reprs_reports_and_errors(  # noqa: PLR0917 - fixtures
    fault_server: StartFaultServer,
    tls: Tls,
    files: list[ObjectSource],
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
    name: str,
    factory: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    caplog.set_level(logging.DEBUG)
    server = fault_server(SCRIPTS[name], tls=tls.server_context)
    reports, told, said = Reports(), [], fields()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.slow_callback_duration = 0.0  # every step is slow, and so logged with its arguments
        credentials = Credentials("AKIDEXAMPLE", SECRET, TOKEN)
        async with S3Client(
            endpoint_url=server.url, region="r", credentials=credentials, verify=str(tls.ca_file)
        ) as client:
            upload = s3_upload_files(
                client, BUCKET, files, config(n_retries=3), reports, default_request=lambda _: said
            )
            try:
                told.append(repr(summary := await upload))
                told.append(msgspec.json.encode(summary, enc_hook=repr).decode())
            except RunError as error:
                told.append(f"{error!r} {error} {error.__cause__!r}")
            told.append(reprs_of_ours(Credentials, CustomerKey))

    with asyncio.Runner(debug=True, loop_factory=factory) as runner:
        runner.run(main())
    for report in reports:
        told += [repr(report), msgspec.json.encode(report, enc_hook=repr).decode(), str(report.error)]
    for kind in (Text, Table, JsonLines):
        rendering = kind(BUCKET)
        for report in reports:
            rendering.add(report)
    told += [*capsys.readouterr(), caplog.text]
    assert server.requests, "nothing was put to the test"
    assert "Executing <" in caplog.text
    assert all(TOKEN in str(request.headers) for request in server.requests)
    assert found_in("\n".join(told), server) == set()


def test_the_search_finds_what_is_there(fault_server: StartFaultServer) -> None:
    for name, secret in SECRETS.items():
        assert found_in(f"x{secret}x") == {name}


# --- the command --------------------------------------------------------------------------------------


def s3_upload(tmp_path: Path, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    variables = dict(os.environ) | {
        "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_SESSION_TOKEN": TOKEN,
        "PYTHONDEVMODE": "1",  # asyncio's debug mode is part of it
        "PYTHONWARNINGS": "default",
        **env,
    }
    return subprocess.run(
        [COMMAND, *words],
        env=variables,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


RUNS: dict[str, tuple[str, list[str], int]] = {
    "success": ("success", [], 0),
    "success in JSON": ("success", ["--json"], 0),
    "file fails": ("file fails", [], 1),
    "file fails in JSON": ("file fails", ["--json"], 1),
    "wrong key": ("wrong key", [], 3),
    "expired token": ("expired token", [], 3),
}


@pytest.mark.parametrize("name", RUNS)
def test_output_of_the_command(fault_server: StartFaultServer, tls: Tls, tmp_path: Path, name: str) -> None:
    script, flags, code = RUNS[name]
    server = fault_server(SCRIPTS[script], tls=tls.server_context)
    (tmp_path / "a").write_bytes(b"a")
    words = ["a", f"s3://{BUCKET}/a", "--endpoint-url", server.url, "--ca-bundle", str(tls.ca_file)]
    result = s3_upload(tmp_path, *words, *flags, S3_UPLOAD_SSE_C_KEY=CUSTOMER_KEY_BASE64)
    assert result.returncode == code, result.stderr
    assert found_in(result.stdout + result.stderr, server) == set()


URL = "--endpoint-url"
WRONG: dict[str, tuple[list[str], str]] = {
    "a password in the URL": ([URL, f"https://me:{PASSWORD}@localhost"], "must have no user name"),
    "a key over plain http": (
        [URL, "http://localhost:1", "--sse-c-key", CUSTOMER_KEY_BASE64], "the endpoint is plain http",
    ),
    "half a key": (["--sse-c-key", CUSTOMER_KEY_BASE64[:-8]], "SSE-C key: must be 32 bytes"),
    "a key in plain, too long": (["--sse-c-key", CUSTOMER_KEY.decode() + "x"], "SSE-C key: "),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_is_refused_is_not_quoted(tmp_path: Path, name: str) -> None:
    flags, said = WRONG[name]
    (tmp_path / "a").write_bytes(b"a")
    result = s3_upload(tmp_path, "a", f"s3://{BUCKET}/a", *flags)
    assert (result.returncode, result.stdout) == (2, "")
    assert said in result.stderr
    # On a busy machine asyncio's debug mode has remarks of its own.
    assert len([line for line in result.stderr.splitlines() if not line.startswith("Executing <")]) == 1
    assert found_in(result.stderr) == set()


def test_a_client_is_not_made_with_a_password_in_its_url() -> None:
    with pytest.raises(ConfigError, match=re.escape("***@")) as caught:
        S3Client(endpoint_url=f"https://me:{PASSWORD}@store.example")
    assert found_in(str(caught.value)) == set()
    assert found_in(repr(S3Client(credentials=Credentials("AKID", SECRET, TOKEN)))) == set()


def test_headers_are_in_no_repr(fault_server: StartFaultServer, tls: Tls) -> None:
    """An encoder keeps what requests have in common, which includes both a token and a customer key."""

    async def main() -> Any:
        client = S3Client(
            endpoint_url=server.url,
            region="r",
            credentials=Credentials("AKID", SECRET, TOKEN),
            verify=str(tls.ca_file),
        )
        async with client:
            files = [ObjectSource.data(b"a", "a")]
            await s3_upload_files(client, BUCKET, files, config(), default_request=lambda _: fields())
            (target,) = client._targets.values()
            assert target.encoder is not None
            (shape,) = target.encoder._shapes.values()
            assert TOKEN in shape.lines
            return repr(shape)

    server = fault_server(tls=tls.server_context)
    assert found_in(asyncio.run(main())) == set()
