"""The fixtures of all tests do what other tests rely on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import boto3

if TYPE_CHECKING:
    from tests.store import Store


def test_each_bucket_is_new_and_is_read_back_whole(store: Store) -> None:
    first, second = store.new_bucket(), store.new_bucket()
    objects = {f"folder/{n}": bytes([n]) * n for n in range(20)}
    for key, body in objects.items():
        store.client.put_object(Bucket=first, Key=key, Body=body)
    assert store.objects(first) == objects
    assert store.objects(second) == {}
    assert store.secret_key not in repr(store)


def test_a_bucket_is_empty(store: Store, bucket: str) -> None:
    assert store.objects(bucket) == {}


def test_no_setting_of_the_developer_is_seen() -> None:
    assert sorted(name for name in os.environ if name.startswith(("AWS_", "S3_UPLOAD_", "RCLONE_"))) == [
        "AWS_CONFIG_FILE",
        "AWS_EC2_METADATA_DISABLED",
        "AWS_SHARED_CREDENTIALS_FILE",
    ]
    assert list(Path.home().iterdir()) == []
    assert boto3.session.Session().available_profiles == []
    assert boto3.session.Session().get_credentials() is None


def test_what_tests_start_is_interrupted_by_sigint_however_they_were_started() -> None:
    """Also in the background of a shell that has it ignored."""
    child = "import os, signal; os.kill(os.getpid(), signal.SIGINT)"
    tests = (
        "import subprocess, sys, tests.conftest; "
        f"subprocess.run([sys.executable, '-c', {child!r}], check=True)"
    )
    shell = ["sh", "-c", 'trap "" INT; exec "$0" -c "$1"', sys.executable, tests]
    root = Path(__file__).parents[2]
    ended = subprocess.run(shell, cwd=root, capture_output=True, text=True, check=False)
    assert "KeyboardInterrupt" in ended.stderr
    assert "CalledProcessError" in ended.stderr
