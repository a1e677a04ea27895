"""What Windows lacks is missed by nothing that is imported, by no call and by no upload of the command.

Windows itself is not at hand: `windows_probe.py` says what of it is.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.test_cli import TIMEOUT_S, records
from tests.faults.actions import Stall
from tests.faults.uploads import PART_BYTES

if TYPE_CHECKING:
    from tests.conftest import StartFaultServer
    from tests.faults.server import FaultServer

PROBE = str(Path(__file__).with_name("windows_probe.py"))


@pytest.fixture
def tree(tmp_path: Path) -> dict[str, bytes]:
    """What is in a directory `src` of `tmp_path`, by its key: small files, and one that goes in parts."""
    files = {f"sub/{number}": b"%d" % number for number in range(30)} | {"big": bytes(2 * PART_BYTES)}
    for key, data in files.items():
        path = tmp_path / "src" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return files


def probe(*words: str | Path) -> subprocess.CompletedProcess[str]:
    words = (sys.executable, PROBE, *words)
    return subprocess.run(words, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)


def upload_words(server: FaultServer, tmp_path: Path) -> list[str]:
    place = ["--endpoint-url", server.url, "--region", "us-east-1"]
    # The usual place of journals is platformdirs' to know, which asks the system that this really is.
    journal = ["--journal", str(tmp_path / "journal"), "--grace", "0"]
    return [
        "command",
        str(tmp_path / "src"),
        "s3://bucket",
        *place,
        *journal,
        "--multipart-threshold",
        "5MiB",
    ]


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")


def test_every_module_can_be_imported() -> None:
    ran = probe("import")
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "[]\n", "")


def test_a_call_uploads(fault_server: StartFaultServer, tmp_path: Path, tree: dict[str, bytes]) -> None:
    server = fault_server()
    ran = probe("upload", server.url, tmp_path / "src")
    assert ran.stdout.startswith("uploaded 31 objects")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert server.model.bodies("bucket") == tree


@pytest.mark.usefixtures("account")
def test_the_command_uploads(fault_server: StartFaultServer, tmp_path: Path, tree: dict[str, bytes]) -> None:
    server = fault_server()
    ran = probe(*upload_words(server, tmp_path), "--json")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert {record["key"] for record in records(ran.stdout, "upload")} == set(tree)
    assert server.model.bodies("bucket") == tree


@pytest.mark.usefixtures("account", "tree")
def test_a_signal_ends_the_command(fault_server: StartFaultServer, tmp_path: Path) -> None:
    server = fault_server(lambda request: Stall())
    words = [sys.executable, PROBE, *upload_words(server, tmp_path)]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as process:
        server.wait_until(lambda: server.counts["requests"] > 0)
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=TIMEOUT_S)[1]
    assert process.returncode == 130
    assert "interrupted" in said
    assert "Traceback" not in said


def test_the_embedded_store_is_refused_in_one_line(tmp_path: Path) -> None:
    ran = probe("command", "serve", str(tmp_path))
    assert (ran.returncode, ran.stdout) == (3, "")
    assert ran.stderr == "s3-upload: error: the embedded store needs a POSIX shell, which Windows has not\n"
