"""Usual uploads are read without the parser, and as the parser reads them."""

from __future__ import annotations

import dataclasses
import os
import random
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from s3_upload.cli import uploading
from s3_upload.cli.commands import app
from s3_upload.cli.options import plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from s3_upload.cli.options.upload import UploadOptions

WORDS = ["photos", "docs", "s3://b/p"]
MEANT = [
    [],
    *([name] for name in plain.SWITCHES),
    *([name, "text"] for name in plain.TEXTS if name != "--endpoint-url"),
    *([f"{name}=a=b"] for name in plain.TEXTS if name not in {"--endpoint-url", "--profile", "--region"}),
    ["--endpoint-url", "http://127.0.0.1:9000", "--profile", "me", "--json", "--quiet"],
]
LEFT = [
    ["--json", "--json"],
    ["--region", "a", "--region", "b"],
    ["--region"],
    ["--region="],
    ["--region", "--json"],
    ["--json=false"],
    ["--no-json"],
    ["--share", "fair"],
    ["--max-bandwidth=1MB/s"],
    ["-qv"],
    ["--"],
    ["-"],
    [""],
    ["--endpoint-url", "nonsense"],
    ["--journal", "j", "--no-journal"],
]


@pytest.fixture(autouse=True)
def _profiles(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("aws") / "config"
    untuned = "[default]\n[profile me]\n[profile text]\n"
    path.write_text(f"{untuned}[profile tuned]\ns3 =\n  max_bandwidth = 1MB/s\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(path))


def parsed(monkeypatch: pytest.MonkeyPatch, words: Sequence[str]) -> tuple[tuple[str, ...], UploadOptions]:
    """What the parser gives to the upload."""
    given: list[tuple[tuple[str, ...], UploadOptions]] = []

    def upload(words: Sequence[str], options: UploadOptions) -> int:
        given.append((tuple(words), options))
        return 0

    monkeypatch.setattr(uploading, "upload", upload)
    app(list(words))
    return given[0]


def shown(given: tuple[tuple[str, ...], UploadOptions] | None) -> tuple[tuple[str, ...], object]:
    assert given is not None
    return given[0], dataclasses.asdict(given[1])


@pytest.mark.parametrize("flags", MEANT, ids=" ".join)
@pytest.mark.parametrize("first", [True, False])
def test_what_is_read_here_the_parser_reads_the_same(
    monkeypatch: pytest.MonkeyPatch, flags: list[str], *, first: bool
) -> None:
    words = [*flags, *WORDS] if first else [*WORDS[:1], *flags, *WORDS[1:]]
    assert shown(plain.read(words, {})) == shown(parsed(monkeypatch, words))


@pytest.mark.parametrize("flags", LEFT, ids=" ".join)
def test_what_is_less_usual_or_wrong_is_left_to_the_parser(flags: list[str]) -> None:
    assert plain.read([*WORDS, *flags], {}) is None


def test_commands_variables_and_tuned_profiles_are_left_to_the_parser() -> None:
    assert plain.read(["sync", *WORDS], {}) is None
    assert plain.read([], {}) is None
    assert plain.read(WORDS, {"S3_UPLOAD_SHARE": "fair"}) is None
    assert plain.read(WORDS, {"AWS_MAX_ATTEMPTS": "3"}) is None
    assert plain.read([*WORDS, "--profile", "missing"], {}) is not None
    environ = {"AWS_CONFIG_FILE": os.environ["AWS_CONFIG_FILE"]}
    assert plain.read([*WORDS, "--profile", "me"], environ) is not None
    assert plain.read([*WORDS, "--profile", "tuned"], environ) is None


def test_no_parser_is_loaded_for_an_upload_without_flags() -> None:
    code = (
        "import sys; from s3_upload.cli.main import main\n"
        "main(['no-such-file', 's3://b/p']); print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert "no-such-file" in done.stderr
    assert not {"cyclopts", "rich", "botocore.session"} & set(done.stdout.splitlines()[-1].split())


LIKE_FLAGS = ("sync", "version", "-", "--", "", " -q", "--region", "\u2010q", "-1", "=", "a=b", "me")
ODD_WORDS = (
    *LIKE_FLAGS,
    "[1,2]",
    '{"a":1}',
    "none",
    "@x",
    "~/x",
    "a\nb",
    "\udc80",
    "é",
    " x ",
    "s3://b/p",
    "me",
)


def drawn(rng: random.Random) -> list[str]:
    """Words as a user might type them, and odd ones among them."""
    words = ["photos"]
    for _ in range(rng.randint(1, 4)):
        kind, odd = rng.randrange(4), rng.choice(ODD_WORDS)
        switch, text = rng.choice(list(plain.SWITCHES)), rng.choice(list(plain.TEXTS))
        words += [[odd], [switch], [text, odd], [f"{text}={odd}"]][kind]
    return words


def test_of_words_drawn_at_random_too(monkeypatch: pytest.MonkeyPatch) -> None:
    rng, read = random.Random(5), 0
    while read < 20:
        words = drawn(rng)
        if (found := plain.read(words, {})) is not None:
            assert shown(found) == shown(parsed(monkeypatch, words)), words
            read += 1


ENDS = """
import atexit, sys
from s3_upload.cli import main
atexit.register(lambda: sys.stderr.write("the end\\n"))
sys.argv = ["s3-upload", *sys.argv[1:]]
main.run()
"""


@pytest.mark.parametrize(("words", "code"), [(["--version"], 0), (["nowhere"], 2)])
def test_what_is_to_be_done_at_the_end_is_done_and_all_that_is_said_is_written(
    words: list[str], code: int
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", ENDS, *words], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == code
    assert done.stderr.endswith("the end\n")
    assert done.stdout.startswith("s3-upload 0.") == (code == 0)


INTERRUPTED = """
import signal, sys
from s3_upload.cli import main

class Stderr:
    def flush(self):
        signal.raise_signal(signal.SIGTERM)

def say(words):
    sys.stderr = Stderr()
    return 0

main.main = say
main.run()
"""


def test_a_signal_at_the_very_end_ends_it_as_any_other_without_a_traceback() -> None:
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (143, "", "")
