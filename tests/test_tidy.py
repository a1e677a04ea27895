"""The house rules that a machine can check. docs/architecture.md says why they are there.

Each rule is a function from source text to complaints, and each is shown a made-up source that
breaks it: a rule that cannot fail protects nothing.
"""

from __future__ import annotations

import ast
import re
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest

from tests.arrows import ARROWS, imported, wrong_arrows

ROOT = Path(__file__).parents[1]
SRC = ROOT / "src" / "s3_upload"
MAX_FILE_LINES = 500
MAX_FUNCTION_LINES = 60

CONTROL_BANS = {"asyncio", "time", "random", "os", "socket", "datetime", "threading", "pathlib", "subprocess"}
S3_BANS = {"asyncio", "socket", "ssl", "os", "threading", "pathlib", "subprocess", "random"}
CLOCK_CALLS = {"time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "now", "utcnow", "today"}
CALLBACK_AT = {"call_later": 1, "call_at": 1, "call_soon": 0, "add_done_callback": 0}
"""Which argument of these is the callback."""
UNDONE_WORDS = ("TO" + "DO", "FIX" + "ME")  # in pieces, or they would find themselves
UNDONE = re.compile(rf"\b({'|'.join(UNDONE_WORDS)})\b")


# --- the rules ------------------------------------------------------------------------------------


def without_sentence(text: str) -> list[str]:
    """Constants of a module and fields of a tuning, numbers all, that no text follows."""
    module = ast.parse(text)
    tunings = [
        node for node in module.body if isinstance(node, ast.ClassDef) and node.name.endswith("Tuning")
    ]
    found: list[str] = []
    for body in [module.body, *(node.body for node in tunings)]:
        for node, after in pairwise([*body, ast.Pass()]):
            value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
            has_number = value is not None and any(
                isinstance(part, ast.Constant) and isinstance(part.value, int | float)
                for part in ast.walk(value)
            )
            told = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
            if has_number and not told:
                found.append(ast.unparse(node).partition(" ")[0])
    return found


def side_doors(text: str) -> list[str]:
    """What is imported of control/share but its controller and what it sees of the link."""
    inside = (name for name in imported(text) if name.startswith("s3_upload.control.share."))
    return [name for name in inside if name.split(".")[3] not in {"courtesy", "link"}]


def banned_imports(bans: set[str], text: str) -> list[str]:
    return [name for name in imported(text) if name.split(".")[0] in bans]


def clock_calls(text: str) -> list[str]:
    calls = (node.func for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call))
    names = [ast.unparse(call) for call in calls]
    return [name for name in names if name.rpartition(".")[2] in CLOCK_CALLS]


def unguarded_callbacks(text: str) -> list[str]:
    """What is given to the loop to be called back, and is not made by `guarded`, here or where it is set."""
    tree = ast.parse(text)
    made = {
        ast.unparse(node.targets[0])
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and ast.unparse(node.value).startswith("guarded(")
    }
    given = (
        ast.unparse(node.args[CALLBACK_AT[node.func.attr]])
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in CALLBACK_AT
    )
    return [callback for callback in given if callback not in made and not callback.startswith("guarded(")]


def long_functions(text: str) -> list[str]:
    return [
        f"{node.name}: {lines} lines"
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (lines := (node.end_lineno or 0) - node.lineno + 1) > MAX_FUNCTION_LINES
    ]


def too_long(text: str) -> bool:
    return len(text.splitlines()) > MAX_FILE_LINES


def lacks_docstring(text: str) -> bool:
    """An empty file that only makes a folder a package needs none."""
    return bool(text) and not ast.get_docstring(ast.parse(text))


# --- they hold --------------------------------------------------------------------------------------


@cache
def sources(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


OURS = sources("src", "tests", "bench", "lab", "examples")
PACKAGE = sources("src")


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", OURS, ids=name)
def test_every_file_fits_a_head(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not too_long(text), f"more than {MAX_FILE_LINES} lines"
    assert long_functions(text) == []
    assert UNDONE.findall(text) == []


@pytest.mark.parametrize("path", PACKAGE, ids=name)
def test_every_module_says_what_it_is_and_imports_what_it_may(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not lacks_docstring(text), "no docstring"
    unit = path.relative_to(SRC).parts[0].removesuffix(".py")
    assert wrong_arrows(unit, text) == []


@pytest.mark.parametrize("path", sources("src/s3_upload/control"), ids=name)
def test_decisions_are_pure(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert banned_imports(CONTROL_BANS, text) == []
    assert clock_calls(text) == []


@pytest.mark.parametrize("path", sources("src/s3_upload/control"), ids=name)
def test_what_can_be_tuned_has_a_sentence(path: Path) -> None:
    assert without_sentence(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("path", sources("tests"), ids=name)
def test_no_test_patches_a_decision(path: Path) -> None:
    assert not re.search(r"setattr\(\s*\"s3_upload\.control\.", path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", PACKAGE, ids=name)
def test_the_shares_are_behind_their_controller(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    if path.parent == SRC / "control" / "share":
        assert "isinstance(" not in text, "which share it is, is nobody's business"
    else:
        assert side_doors(text) == []


@pytest.mark.parametrize("path", sources("src/s3_upload/transfer"), ids=name)
def test_no_callback_of_a_transfer_can_leave_a_run_without_an_end(path: Path) -> None:
    if path.name != "watchdog.py":  # which arms itself again whatever it meets: it has a `try` of its own
        assert unguarded_callbacks(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("path", sources("src/s3_upload/s3"), ids=name)
def test_the_protocol_is_pure(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert banned_imports(S3_BANS, text) == []
    assert clock_calls(text) == []


def test_only_http1_and_what_starts_processes_touch_sockets() -> None:
    users = {name(path) for path in PACKAGE if banned_imports({"socket"}, path.read_text(encoding="utf-8"))}
    rooms = ("/http1/", "/fleet/")
    others = {user for user in users if not any(room in user for room in rooms)}
    assert others <= {"src/s3_upload/adapters.py"}  # an SDK's errors


def test_the_map_shows_the_house_as_it_is() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    there = {path.relative_to(SRC).as_posix() for path in PACKAGE if path.stat().st_size}
    drawn = map_of(text)
    assert sorted(there - drawn) == [], "modules without a line on the map"
    assert sorted(drawn - there) == [], "lines about modules that are gone"


def map_of(text: str) -> set[str]:
    """Paths in the picture of src/s3_upload/: a folder's line ends in "/", its files are indented more."""
    picture = text.partition("src/s3_upload/\n")[2].partition("```")[0]
    found: set[str] = set()
    folders: list[str] = []
    for line in picture.splitlines():
        match = re.match(r"((?:  )+)([a-z0-9_]+)(/|\.py)(?: |$)", line)
        if match is None:
            continue
        del folders[len(match[1]) // 2 - 1 :]
        if match[3] == "/":
            folders.append(match[2])
        else:
            found.add("/".join([*folders, match[2]]) + ".py")
    return found


# --- and they can fail ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("unit", "text"),
    [
        ("control", "from s3_upload.transfer.tries import Request"),
        ("control", "import s3_upload.http1.pool"),
        ("s3", "from s3_upload.http1 import trace"),
        ("http1", "from s3_upload.s3.operations import Operation"),
        ("http1", "def f():\n    from s3_upload.clients import s3"),
        ("transfer", "from s3_upload.api import s3_upload_files"),
        ("transfer", "from s3_upload import S3Client"),
        ("errors", "from s3_upload.report import SUCCESS"),
        ("api", "from s3_upload.cli.output import emit"),
        ("api", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from s3_upload.cli import main"),
        ("cli", "from s3_upload.transfer.run import Run"),
        ("control", "from ..transfer import unit"),
        ("novelty", "x = 1"),
    ],
)
def test_a_wrong_arrow_is_seen(unit: str, text: str) -> None:
    assert len(wrong_arrows(unit, text)) == 1


@pytest.mark.parametrize(
    ("unit", "text"),
    [
        ("transfer", "from s3_upload.control.retrying.retry import Retry"),
        ("transfer", "from s3_upload.transfer import tries"),
        ("cli", "from s3_upload import __version__, api"),
        ("http1", "import asyncio\nfrom s3_upload.http import Response"),
    ],
)
def test_a_right_arrow_is_let_be(unit: str, text: str) -> None:
    assert wrong_arrows(unit, text) == []


def test_the_arrows_make_no_circle() -> None:
    seen: list[str] = []

    def visit(unit: str, above: tuple[str, ...]) -> None:
        assert unit not in above, " -> ".join((*above, unit))
        for below in sorted(ARROWS[unit] - set(seen)):
            visit(below, (*above, unit))
        seen.append(unit)

    assert "cli" not in set().union(
        *(below for unit, below in ARROWS.items() if unit not in {"cli", "__main__"})
    )
    visit("cli", ())


@pytest.mark.parametrize("module", sorted(CONTROL_BANS | S3_BANS))
@pytest.mark.parametrize(
    "form", ["import {0}", "import {0}.x as y", "from {0} import x", "from {0}.x import y"]
)
def test_a_banned_import_is_seen(module: str, form: str) -> None:
    bans = CONTROL_BANS if module in CONTROL_BANS else S3_BANS
    assert len(banned_imports(bans, f"def f():\n    {form.format(module)}")) == 1
    assert banned_imports(bans, f"import {module}x") == []


@pytest.mark.parametrize("body", ["LOW = 0.5", "LOW: int = 1 << 20", "class Tuning:\n    low: float = 1 / 8"])
def test_a_number_without_a_sentence_is_seen(body: str) -> None:
    assert len(without_sentence(body)) == 1
    indent = "    " if body.startswith("class") else ""
    assert without_sentence(f'{body}\n{indent}"""Less."""') == []


def test_a_way_around_the_controller_of_the_shares_is_seen() -> None:
    assert len(side_doors("from s3_upload.control.share import fair, link")) == 1
    assert (
        len(side_doors("def f():\n    from s3_upload.control.share.background import BackgroundShare")) == 1
    )
    assert side_doors("from s3_upload.control.share.courtesy import Courtesy") == []


@pytest.mark.parametrize(
    "call", ["time.time()", "datetime.now(UTC)", "datetime.datetime.utcnow()", "monotonic()"]
)
def test_a_look_at_the_clock_is_seen(call: str) -> None:
    assert clock_calls(f"x = f({call})") == [call.partition("(")[0]]
    assert clock_calls("time.strftime('%Y', time.gmtime(second))") == []


@pytest.mark.parametrize(
    ("call", "callback"),
    [
        ("self._loop.call_later(1.0, self._tick)", "self._tick"),
        ("loop.call_soon(tick, 1)", "tick"),
        ("task.add_done_callback(lambda t: None)", "lambda t: None"),
        ("task.add_done_callback(guarded(fail, tick))", ""),
        ("self._tick = guarded(fail, tick)\nloop.call_at(1.0, self._tick)", ""),
    ],
)
def test_a_callback_that_is_not_guarded_is_seen(call: str, callback: str) -> None:
    assert unguarded_callbacks(call) == ([callback] if callback else [])


@pytest.mark.parametrize("start", ["def f():\n", "async def f():\n"])
def test_a_long_function_is_seen(start: str) -> None:
    assert long_functions(start + "    x = 1\n" * MAX_FUNCTION_LINES) == [
        f"f: {MAX_FUNCTION_LINES + 1} lines"
    ]
    assert long_functions(start + "    x = 1\n" * (MAX_FUNCTION_LINES - 1)) == []


def test_a_long_file_is_seen() -> None:
    assert too_long("\n" * (MAX_FILE_LINES + 1))
    assert not too_long("\n" * MAX_FILE_LINES)


def test_a_missing_docstring_is_seen() -> None:
    assert lacks_docstring("# a comment\nx = 1\n")
    assert not lacks_docstring('"""What it is."""\nx = 1\n')
    assert not lacks_docstring("")


@pytest.mark.parametrize("word", UNDONE_WORDS)
def test_unfinished_work_is_seen(word: str) -> None:
    assert UNDONE.findall(f"x = 1  # {word}: later") == [word]
    assert UNDONE.findall(f"{word.lower()} = [x{word}]") == []


def test_a_map_is_read() -> None:
    lines = ("```", "src/s3_upload/", "  api.py   joins", "  s3/", "    sigv4.py   signs", "    deep/")
    picture = "\n".join((*lines, "      x.py", "  cli/   text", "    main.py", "```", "x.py"))
    assert map_of(picture) == {"api.py", "s3/sigv4.py", "s3/deep/x.py", "cli/main.py"}
