"""One case as one command reads it: the machine that it finds, its run, and what the server saw of it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.settings.cases import AT_ONCE, CAS, TRIES
from tests.settings.recorder import AUTHORITIES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.faults.actions import Request
    from tests.settings.cases import Case
    from tests.settings.recorder import Recorder

ROOT = Path(__file__).parents[2]
AWS_PYTHON = ROOT / ".venv" / "awscli" / "bin" / "python"
REFUSED = {"all": "refused"}
Reading = dict[str, str]
_CHECKSUMS = ("x-amz-checksum-crc", "x-amz-checksum-sha", "x-amz-checksum-xx", "x-amz-trailer")


class Command:
    """A command, kept ready in a process of its own."""

    def __init__(self, python: str | Path, main: str, *imports: str, words: tuple[str, ...] = ()) -> None:
        self._words = words
        self._process = subprocess.Popen(
            [str(python), str(Path(__file__).with_name("forked.py")), main, *imports],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={},
        )

    def run(self, args: list[str], env: dict[str, str]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"args": [*self._words, *args], "env": env}) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def close(self) -> None:
        self._process.communicate()


def ours() -> Command:
    imports = "s3_upload.cli.commands", "s3_upload.api", "s3_upload.cli.session", "uvloop", "botocore.session"
    return Command(sys.executable, "s3_upload.cli.main:run", *imports)


def theirs() -> Command:
    imports = "awscli.customizations.s3.subcommands", "s3transfer.manager", "botocore.httpsession"
    return Command(AWS_PYTHON, "awscli.clidriver:main", *imports, words=("s3", "cp"))


def read(command: Command, case: Case, recorder: Recorder) -> Reading:
    """What the server saw. Of whose certificates are trusted, each authority is tried."""
    if case.looks_at != CAS:
        return _read(command, case, recorder, AUTHORITIES[0])
    for authority in AUTHORITIES:
        reading = _read(command, case, recorder, authority)
        if reading != REFUSED:
            return {"CAs": f"~/{authority}"}
    return REFUSED


def _read(command: Command, case: Case, recorder: Recorder, authority: str) -> Reading:
    recorder.authority = authority
    recorder.fails, recorder.is_slow = case.looks_at == TRIES, case.looks_at == AT_ONCE
    recorder.take()
    with machine(case, recorder) as (env, file):
        flags = [flag.replace("{home}", env["HOME"]) for flag in case.flags]
        if file.is_dir():
            flags.append("--recursive")
        end = command.run([str(file), f"s3://{case.bucket}/k", *flags], env)
    peak = recorder.peak_in_flight
    requests = recorder.take()
    assert "Traceback" not in end["said"], (case.what, end)
    uploaded = any(request.method == "PUT" for _, request in requests)
    if end["code"] and not uploaded:
        return REFUSED
    assert uploaded, (case.what, end, requests)
    assert recorder.fails or not end["code"], (case.what, end, requests)
    reading = _of(requests)
    return {name: reading[name] for name in case.looks_at if name in reading} | (
        {"at once": str(peak)} if recorder.is_slow else {}
    )


def _of(requests: list[tuple[str, Request]]) -> Reading:
    asked_sts = [request for _, request in requests if request.headers["host"].startswith("sts")]
    puts = [(scheme, request) for scheme, request in requests if request.method == "PUT"]
    scheme, put = puts[0]
    scope = re.search(r"Credential=[A-Z]+/\d+/([^/]+)/([^/]+)/", put.headers["authorization"])
    app = re.search(r"app/(\S+)", put.headers["user-agent"])
    return {
        "URL": f"{scheme}://{put.headers['host']}{put.target.partition('?')[0]}",
        "region": scope[1] if scope is not None else "",
        "service": _service(put, scope[2] if scope is not None else ""),
        "checksum": "sent" if any(name.startswith(_CHECKSUMS) for name in put.headers) else "none",
        "body": "unsigned" if "UNSIGNED-PAYLOAD" in put.headers["x-amz-content-sha256"] else "signed",
        "app": app[1] if app is not None else "",
        "STS": asked_sts[0].headers["host"] if asked_sts else "",
        "tries": str(len(puts)),
        "parts": _parts([request for _, request in puts]),
    }


def _service(put: Request, name: str) -> str:
    return f"{name}, in a session" if "x-amz-s3session-token" in put.headers else name


def _parts(puts: list[Request]) -> str:
    """Their sizes in MiB, in the file's order."""
    sizes = [len(put.body) for put in sorted(puts, key=lambda put: put.part_number) if put.part_number]
    return " + ".join(f"{size / (1 << 20):g}" for size in sizes) or "one piece"


@contextmanager
def machine(case: Case, recorder: Recorder) -> Iterator[tuple[dict[str, str], Path]]:
    """A home with this config, the variables alone, and what is uploaded."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        for name, authority in recorder.authorities.items():
            authority.cert_pem.write_to_path(str(home / name))
        (home / ".aws").mkdir()
        (home / ".aws" / "config").write_text(f"[default]\n{case.config}\n".replace("{home}", folder))
        env = {
            "HOME": folder,
            "PATH": "/usr/bin:/bin",
            "AWS_ACCESS_KEY_ID": "A",
            "AWS_SECRET_ACCESS_KEY": "B",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_MAX_ATTEMPTS": "1",
            "AWS_CA_BUNDLE": str(home / AUTHORITIES[0]),
            "HTTPS_PROXY": recorder.proxy_url,
            "HTTP_PROXY": recorder.proxy_url,
        }
        for name in case.without:
            del env[name]
        env |= {name: text.replace("{home}", folder) for name, text in case.variables.items()}
        file = home / "file"
        if case.looks_at == AT_ONCE:
            file.mkdir()
            for number in range(12):
                (file / str(number)).write_bytes(b"x")
        else:
            file.write_bytes(bytes(case.size))
        yield env, file
