"""Who uploads, with which command lines: s3-upload in each of its modes, the peers with their defaults."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path

from bench.contenders import s5cmd_binary
from lab.network import ADDRESS, ROOT
from lab.store import PORT
from s3_upload import UploadConfig

BUCKET = "lab"
URL = f"http://{ADDRESS['far']}:{PORT}"
AWS = ROOT / ".venv" / "awscli" / "bin" / "aws"
MODES = ("background", "fair", "full")
PEERS = ("s5cmd", "rclone", "aws")
NOBODY = "nobody"
NOT_INSTALLED = "{0} is not installed: `make lab` does that"
HAS_SHARE = "share" in UploadConfig.__dataclass_fields__


@dataclass(frozen=True)
class Uploader:
    """`missing`: why it cannot run here; "" if it can."""

    tool: str
    version: str
    argv: tuple[str, ...]
    missing: str = ""
    ours: bool = False


def environment(state: Path) -> dict[str, str]:
    """Of every uploader: nothing of the user's own settings gets through, and journals go below `state`."""
    env = {
        name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "RCLONE_", "S3_"))
    }
    return env | {
        "XDG_STATE_HOME": str(state),
        "AWS_ACCESS_KEY_ID": "laboratory",
        "AWS_SECRET_ACCESS_KEY": "laboratory-secret",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }


def uploader(name: str, folder: Path) -> Uploader:
    """`name`: a mode of s3-upload ("background", or with more flags: "full --max-bandwidth 5MB/s"), or a
    peer. It uploads `folder`."""
    if name == "s5cmd":
        return _s5cmd(folder)
    if name == "rclone":
        return _rclone(folder)
    if name == "aws":
        return _aws(folder)
    return _ours(name, folder)


def _ours(mode: str, folder: Path) -> Uploader:
    script = str(Path(sys.executable).with_name("s3-upload"))
    share, *flags = mode.split()
    argv = (
        script, str(folder), f"s3://{BUCKET}/", "--endpoint-url", URL, "--addressing-style", "path",
        "--only-show-errors", *(("--share", share) if HAS_SHARE else ()), *flags,
    )  # fmt: skip
    able = HAS_SHARE or (share == "full" and "--max-bandwidth" not in flags)
    missing = "" if able else "this s3-upload has no --share"
    return Uploader("s3-upload", version("s3-upload"), argv, missing, ours=True)


def _s5cmd(folder: Path) -> Uploader:
    """The binary itself: the wheel's Python wrapper would stay between it and the signal to end."""
    binary = s5cmd_binary()
    argv = (binary, "--log", "error", "--endpoint-url", URL, "cp", f"{folder}/", f"s3://{BUCKET}/")
    return Uploader(
        "s5cmd", _first_line(binary, "version"), argv, "" if binary else NOT_INSTALLED.format("s5cmd")
    )


def _rclone(folder: Path) -> Uploader:
    binary = str(Path(sys.executable).with_name("rclone"))
    remote = f":s3,provider=Other,env_auth=true,endpoint='{URL}':{BUCKET}"
    argv = (binary, "copy", "--config", "", str(folder), remote)
    exists = Path(binary).exists()
    about = _first_line(binary, "version").removeprefix("rclone ") if exists else ""
    return Uploader("rclone", about, argv, "" if exists else NOT_INSTALLED.format("rclone"))


def _aws(folder: Path) -> Uploader:
    argv = (str(AWS), "s3", "cp", "--recursive", "--only-show-errors", "--endpoint-url", URL, str(folder))
    missing = "" if AWS.exists() else NOT_INSTALLED.format("the AWS CLI")
    about = "" if missing else _first_line(str(AWS), "--version").split()[0].removeprefix("aws-cli/")
    return Uploader("AWS CLI", about, (*argv, f"s3://{BUCKET}/"), missing)


@cache
def _first_line(*argv: str) -> str:
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.partition("\n")[0].strip()
