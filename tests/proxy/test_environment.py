"""What the environment says about proxies, end to end: by the library and by the command."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from s3_upload import Credentials, RunError
from s3_upload import upload as upload_call
from s3_upload.cli.main import main
from s3_upload.cli.options.store import StoreOptions
from s3_upload.cli.output import EXIT_USAGE
from tests.faults.uploads import BUCKET, stored
from tests.proxy.forward import ForwardProxy
from tests.proxy.test_ways import HOST, NAMES, upload, url_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import StartFaultServer, Tls

COMMAND = str(Path(sys.executable).with_name("s3-upload"))
BODIES = {"a": b"1", "b": b"2"}
DEAD = "http://user:s3cr3t@127.0.0.1:1"


@pytest.fixture
def proxy() -> Iterator[ForwardProxy]:
    with ForwardProxy(names=NAMES) as running:
        yield running


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("lower", [True, False])
def test_the_variable_of_the_scheme_is_followed(
    fault_server: StartFaultServer,
    tls: Tls,
    proxy: ForwardProxy,
    monkeypatch: pytest.MonkeyPatch,
    scheme: str,
    *,
    lower: bool,
) -> None:
    server = fault_server(tls=tls.server_context if scheme == "https" else None)
    name = f"{scheme}_proxy"
    monkeypatch.setenv(name if lower else name.upper(), proxy.url)
    upload(url_of(server, HOST), BODIES, verify=str(tls.ca_file)).raise_for_failures()
    assert stored(server) == BODIES
    assert set(proxy.methods) == ({"CONNECT"} if scheme == "https" else {"PUT"})


def test_a_store_on_localhost_is_no_exception(
    fault_server: StartFaultServer, proxy: ForwardProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in botocore, requests and curl: NO_PROXY alone makes exceptions."""
    server = fault_server()
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    upload(server.url, BODIES).raise_for_failures()
    assert len(proxy.heads) == 2
    monkeypatch.setenv("NO_PROXY", "127.0.0.0/8")
    upload(server.url, BODIES).raise_for_failures()
    assert len(proxy.heads) == 2


@pytest.mark.parametrize(
    "environ",
    [
        {"HTTP_PROXY": DEAD, "NO_PROXY": "127.0.0.1"},
        {"ALL_PROXY": DEAD, "NO_PROXY": "*"},
        {"HTTPS_PROXY": DEAD},
        {"HTTP_PROXY": DEAD, "REQUEST_METHOD": "POST"},
        {"HTTP_PROXY": "", "ALL_PROXY": ""},
        {"HTTPS_PROXY": "nonsense://user:s3cr3t@x"},
    ],
)
def test_what_is_not_meant_for_the_store_is_left_alone(
    fault_server: StartFaultServer, monkeypatch: pytest.MonkeyPatch, environ: dict[str, str]
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    upload(fault_server().url, BODIES).raise_for_failures()


def test_none_is_none(fault_server: StartFaultServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", DEAD)
    upload(fault_server().url, BODIES, proxy="none").raise_for_failures()


def test_the_calls_take_one_too(fault_server: StartFaultServer, proxy: ForwardProxy, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1")
    server = fault_server()
    upload_call(
        tmp_path, f"s3://{BUCKET}", endpoint_url=url_of(server, HOST), region="r", proxy=proxy.url,
        credentials=Credentials("key", "secret"),
    ).raise_for_failures()  # fmt: skip
    assert stored(server) == {"a": b"1"}


def test_an_error_names_the_variable(fault_server: StartFaultServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", DEAD)
    with pytest.raises(RunError, match=r"no connection to the proxy 127\.0\.0\.1:1 \(http_proxy\): Conn"):
        upload(fault_server().url, BODIES, settings={"n_retries": 4})


# --- the command ----------------------------------------------------------------------------------


def command(tmp_path: Path, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    (tmp_path / "a").write_bytes(b"1")
    keys = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}
    return subprocess.run(
        [COMMAND, str(tmp_path / "a"), f"s3://{BUCKET}/a", *words],
        env=os.environ | keys | environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_the_command_goes_through_the_proxy_that_its_flag_names(
    fault_server: StartFaultServer, tls: Tls, proxy: ForwardProxy, tmp_path: Path
) -> None:
    server = fault_server(tls=tls.server_context)
    words = ["--endpoint-url", url_of(server, HOST), "--ca-bundle", str(tls.ca_file), "--proxy", proxy.url]
    done = command(tmp_path, *words, HTTPS_PROXY=DEAD)
    assert done.returncode == 0, done.stderr
    assert stored(server) == {"a": b"1"}


def test_the_commands_only_line_about_a_refusal_holds_no_password(
    fault_server: StartFaultServer, tmp_path: Path
) -> None:
    with ForwardProxy(names=NAMES, login="other:login") as proxy:
        place = proxy.url.replace("://", "://user:s3cr3t@")
        words = ["--endpoint-url", url_of(fault_server(), HOST), "--proxy", place, "--progress", "none"]
        done = command(tmp_path, *words)
    lines = [line for line in done.stderr.splitlines() if "127.0.0.1" in line]
    assert done.returncode not in (0, EXIT_USAGE)
    assert len(lines) == 1
    assert f"the proxy 127.0.0.1:{proxy.port} (--proxy; in Python: proxy) does not accept" in lines[0]
    assert "s3cr3t" not in done.stderr + done.stdout


def test_the_embedded_store_is_reached_whatever_the_environment_says(tmp_path: Path) -> None:
    done = command(tmp_path, "--embedded", str(tmp_path / "store"), ALL_PROXY=DEAD, HTTP_PROXY=DEAD)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "store" / BUCKET / "a").read_bytes() == b"1"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            "--proxy ftp://user:s3cr3t@p.test",
            "--proxy = 'ftp://***@p.test': a proxy's URL begins with http://",
        ),
        ("--proxy http://user:s3cr3t@", "--proxy = 'http://***@': names no host; use one like http://proxy"),
        ("--proxy=", "--proxy = '': names no host"),
        ("--embedded x --proxy none", "--embedded and --proxy do not go together: leave one out"),
    ],
)
def test_a_wrong_flag_is_told_before_anything_is_sent(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: str, said: str
) -> None:
    (tmp_path / "a").write_bytes(b"1")
    assert main([str(tmp_path / "a"), "s3://bucket/a", *words.split()]) == EXIT_USAGE
    stderr = capsys.readouterr().err
    assert said in stderr
    assert "s3cr3t" not in stderr
    assert len(stderr.splitlines()) == 1


def test_options_show_no_password() -> None:
    assert "s3cr3t" not in repr(StoreOptions(proxy="http://user:s3cr3t@p.test"))
