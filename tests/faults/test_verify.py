"""`verify_files` and `s3-upload verify`: a mark for every key, and 1 where anything differs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from s3_upload import ConfigError, ObjectSource, S3Client, Verified, verify_files
from s3_upload.bucket.looking import BATCH
from s3_upload.cli.main import main
from s3_upload.config import MIB
from tests.faults.actions import Rule, s3_error
from tests.faults.model import S3Model
from tests.faults.test_sync import holding, put, write
from tests.faults.uploads import BUCKET, run

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import StartFaultServer
    from tests.faults.actions import Request
    from tests.faults.server import FaultServer


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("a", "a.txt", "a-b/c", "d/e", "d/f", "ä b+%"):
        write(tmp_path / "tree" / name, name.encode())
    return tmp_path / "tree"


def marks(
    server: FaultServer, sources: Any, destination: str = f"s3://{BUCKET}/p", **arguments: Any
) -> dict[str, Verified]:
    async def verify(client: S3Client) -> dict[str, Verified]:
        found = verify_files(sources, destination, client=client, **arguments)
        return {one.key: one async for one in found}

    return run(server, verify)


def test_every_key_has_its_mark(fault_server: StartFaultServer, tree: Path) -> None:
    model = holding(tree)
    del model.objects[f"{BUCKET}/p/a"]
    put(model, "p/0", b"")
    put(model, "p/z", b"")
    put(model, "p/d/e", b"D/E")
    put(model, "p/d/f", b"more")
    (tree / "link").symlink_to("nowhere")
    os.mkfifo(tree / "pipe")
    found = marks(fault_server(model=model), tree)
    assert {key: one.mark for key, one in found.items()} == {
        "p/0": "-", "p/a": "+", "p/a-b/c": "=", "p/a.txt": "=", "p/d/e": "*", "p/d/f": "*", "p/link": "!",
        "p/z": "-", "p/ä b+%": "=",
    }  # fmt: skip
    assert found["p/d/e"].reason == "checksum differs"
    assert found["p/d/f"].reason == "smaller"
    assert found["p/link"].reason.endswith("the link leads to nothing")
    assert found["p/a"].source == str(tree / "a")


def test_by_size_alone(fault_server: StartFaultServer, tree: Path) -> None:
    model = holding(tree)
    put(model, "p/d/e", b"D/E")
    assert {one.mark for one in marks(fault_server(model=model), tree, compare="size").values()} == {"="}


@pytest.mark.parametrize("size", [0, 1, MIB, 9 * MIB + 1])
def test_objects_are_read_back(fault_server: StartFaultServer, tmp_path: Path, size: int) -> None:
    body = os.urandom(size)
    write(tmp_path / "big", body)
    model = S3Model()
    put(model, "big", body, etag="no-md5-of-any-kind")
    server = fault_server(model=model)
    assert marks(server, tmp_path, f"s3://{BUCKET}", download=True)["big"].mark == "="
    assert sum(len(request.query) == 0 for request in server.of("GET")) == -(-size // MIB)
    if size:
        put(model, "big", body[:-1] + bytes([body[-1] ^ 1]), etag="no-md5-of-any-kind")
        assert marks(server, tmp_path, f"s3://{BUCKET}", download=True)["big"].mark == "*"


def test_what_cannot_be_read_back_is_no_match(fault_server: StartFaultServer, tree: Path) -> None:
    server = fault_server([Rule(s3_error(403, "InvalidObjectState"), key="p/a")], model=holding(tree))
    found = marks(server, tree, download=True)
    assert found["p/a"].mark == "!"
    assert "InvalidObjectState" in found["p/a"].reason
    assert found["p/a.txt"].mark == "="


@pytest.mark.parametrize("size", [0, 1, MIB])
def test_a_file_that_grows_while_its_object_is_read_back_is_no_match(
    fault_server: StartFaultServer, tmp_path: Path, size: int
) -> None:
    """The empty one has grown before: there is nothing to be read back."""
    path = tmp_path / "big"
    write(path, bytes(size))
    model = S3Model()
    put(model, "big", bytes(size))

    def grows(_: Request) -> None:
        with path.open("ab") as file:
            file.write(b"more")

    found = marks(fault_server(grows, model=model), tmp_path, f"s3://{BUCKET}", download=True)["big"]
    assert found.mark == "!"
    assert f"its size was {size}, is" in found.reason


@pytest.mark.parametrize("compare", ["size", "time", "mtime"])
def test_what_is_compared_by_less_than_all_bytes_is_not_read_back(tree: Path, compare: Any) -> None:
    with pytest.raises(ConfigError, match=f"download and compare='{compare}' do not go together"):
        verify_files(tree, f"s3://{BUCKET}", compare=compare, download=True)


def test_bytes_that_nothing_proves_are_no_match(fault_server: StartFaultServer) -> None:
    model = S3Model()
    put(model, "k", b"other", "no-md5")
    found = marks(fault_server(model=model), [ObjectSource.data(b"bytes", "k")], f"s3://{BUCKET}")
    assert (found["k"].mark, found["k"].reason) == (
        "*",
        "not proven to be the same: the store keeps no checksum of them, and their ETags are no MD5s",
    )


def test_beside_one_file_no_other_key_is_told(fault_server: StartFaultServer, tree: Path) -> None:
    model = S3Model()
    for key, body in (("p", b"a"), ("p/a", b""), ("pictures", b"")):
        put(model, key, body)
    server = fault_server(model=model)
    assert [(one.key, one.mark) for one in marks(server, tree / "a", f"s3://{BUCKET}/p").values()] == [
        ("p", "=")
    ]
    del model.objects[f"{BUCKET}/p"]
    assert [(one.key, one.mark) for one in marks(server, tree / "a", f"s3://{BUCKET}/p").values()] == [
        ("p", "+")
    ]


@pytest.mark.parametrize("exclude", ["", "*"])
def test_beside_a_folder_of_nothing_only_keys_below_the_prefix_are_told(
    fault_server: StartFaultServer, tree: Path, exclude: str
) -> None:
    (tree.parent / "empty").mkdir()
    model = S3Model()
    for key in ("p", "p-2023/a.txt", "p.txt", "p/a.txt"):
        put(model, key, b"")
    given = {"exclude": exclude, "include": "*.txt"} if exclude else {}
    found = marks(fault_server(model=model), tree / "d" if exclude else tree.parent / "empty", **given)
    assert [(one.key, one.mark) for one in found.values()] == [("p/a.txt", "-")]


@pytest.mark.parametrize(
    ("sizes", "mark"),
    [
        ((5, 10, 15), "="),  # parts that grow
        ((8, 7, 8), "="),
        ((8, 9, 6), "="),
        ((5, 1, 9), "="),
        ((6, 6, 3), "*"),
        ((6, 3), "*"),
        ((3, 6), "="),
    ],
)
def test_parts_of_several_sizes_prove_no_difference(
    fault_server: StartFaultServer, tmp_path: Path, sizes: tuple[int, ...], mark: str
) -> None:
    """Bytes of the same size and time, in thousands, are all that is there beside an ETag that no cut into
    equal parts gives."""
    write(tmp_path / "big", bytes(1_000 * sum(sizes)))
    model = S3Model()
    etag = f"{'0' * 32}-{len(sizes)}"
    put(model, "big", bytes(1_000 * sum(sizes)), etag, part_sizes=tuple(1_000 * size for size in sizes))
    found = marks(fault_server(model=model), tmp_path, f"s3://{BUCKET}")["big"]
    why = "they are in parts of several sizes, which their ETags do not tell"
    assert (found.mark, found.reason) == (mark, why if mark == "=" else "checksum differs")


def test_a_client_of_an_sdk_reads_nothing_back(tree: Path) -> None:
    class Foreign:
        any_loop = False

        def send(self) -> None: ...

    with pytest.raises(ConfigError, match="download"):
        verify_files(tree, f"s3://{BUCKET}", client=Foreign(), download=True)  # type: ignore[arg-type]


# --- the command -------------------------------------------------------------------------------------------


@pytest.fixture
def server(
    fault_server: StartFaultServer,
    tree: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> FaultServer:
    started = fault_server(model=holding(tree))
    monkeypatch.chdir(tree.parent)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_ENDPOINT_URL", started.url)
    return started


def test_all_is_the_same(server: FaultServer, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "tree", f"s3://{BUCKET}/p"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("compared in ")
    assert out.endswith(" s: 6 same\n")
    assert err == ""


def test_differences_are_told_and_end_with_1(server: FaultServer, capsys: pytest.CaptureFixture[str]) -> None:
    put(server.model, "p/a", b"A")
    put(server.model, "p/other", b"")
    assert main(["verify", "tree", f"s3://{BUCKET}/p", "--combined", "all.txt"]) == 1
    out, _ = capsys.readouterr()
    *lines, last = out.splitlines()
    assert sorted(lines) == [
        f"* s3://{BUCKET}/p/a: checksum differs", f"- s3://{BUCKET}/p/other: only in the bucket",
    ]  # fmt: skip
    assert last.endswith(" s: 5 same, 1 different, 1 only in the bucket")
    with open("all.txt", encoding="utf-8") as file:  # noqa: PTH123
        said = sorted(file.read().splitlines())
    assert said == ["* p/a", "- p/other", "= p/a-b/c", "= p/a.txt", "= p/d/e", "= p/d/f", "= p/ä b+%"]


def test_with_all_keys_on_stdout_no_difference_is_told_there_twice(
    server: FaultServer, capsys: pytest.CaptureFixture[str]
) -> None:
    put(server.model, "p/a", b"A")
    assert main(["verify", "tree", f"s3://{BUCKET}/p", "--combined", "-"]) == 1
    *lines, _ = capsys.readouterr().out.splitlines()
    assert sorted(lines) == ["* p/a", "= p/a-b/c", "= p/a.txt", "= p/d/e", "= p/d/f", "= p/ä b+%"]


def test_what_only_the_bucket_has_need_not_count(server: FaultServer) -> None:
    put(server.model, "p/other", b"")
    assert main(["verify", "tree", f"s3://{BUCKET}/p", "--one-way"]) == 0


def test_it_is_told_in_json(server: FaultServer, capsys: pytest.CaptureFixture[str]) -> None:
    put(server.model, "p/a", b"A")
    assert main(["verify", "tree", f"s3://{BUCKET}/p", "--json", "--download"]) == 1
    *lines, summary = map(json.loads, capsys.readouterr().out.splitlines())
    assert len(lines) == 6
    assert {
        "type": "verify",
        "mark": "*",
        "outcome": "different",
        "key": "p/a",
        "source": "tree/a",
        "reason": "checksum differs",
    } in lines
    assert (summary["same"], summary["different"], summary["verify"]) == (5, 1, True)


def test_what_cannot_be_read_back_is_told_by_its_name_and_no_size_was_compared(
    server: FaultServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.set_script([Rule(s3_error(403, "AccessDenied"), method="GET", key="p/a")])
    assert main(["verify", "tree", f"s3://{BUCKET}/p", "--download"]) == 1
    out, err = capsys.readouterr()
    assert err.startswith("failed: tree/a: its object cannot be read back: GetObject: 403 AccessDenied")
    assert out.endswith(" s: 5 same, 1 unreadable\n")
    assert "compared by size and time" not in err


def test_nothing_is_sent(server: FaultServer) -> None:
    main(["verify", "tree", f"s3://{BUCKET}/none"])
    assert {request.method for request in server.requests} == {"GET"}


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no full disk")  # noqa: PTH110
def test_that_what_all_keys_are_told_to_is_full_is_told(
    server: FaultServer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", "tree", f"s3://{BUCKET}/p", "--combined", "/dev/full"]) == 3
    assert capsys.readouterr().err.endswith("error: --combined /dev/full: No space left on device\n")


def test_the_line_for_every_key_may_go_to_stdout_and_one_that_is_full_is_told(server: FaultServer) -> None:
    words = [sys.executable, "-m", "s3_upload", "verify", "tree", f"s3://{BUCKET}/p", "--combined", "-"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True)
    assert sorted(done.stdout.splitlines())[1:3] == ["= p/a-b/c", "= p/a.txt"]
    if os.path.exists("/dev/full"):  # noqa: PTH110
        with open("/dev/full", "wb") as full:  # noqa: PTH123
            done = subprocess.run(
                words, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False
            )
        assert done.returncode == 3
        assert done.stderr == "s3-upload: error: cannot write to stdout: No space left on device\n"


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--combined", "no/where"], "--combined no/where: No such file or directory"),
        (["--json", "--combined", "-"], "--json and --combined - do not go together: give a file"),
        (["--size-only", "--download"], "--size-only and --download do not go together: leave one out"),
    ],
)
def test_wrong_uses(
    server: FaultServer, capsys: pytest.CaptureFixture[str], words: list[str], why: str
) -> None:
    assert main(["verify", "tree", f"s3://{BUCKET}/p", *words]) == 2
    assert why in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "left_out", "told"),
    [
        (["--exclude", "d"], ["d/gone", "d/"], "a-b/gone"),
        (["--exclude", "*.tmp"], ["x.tmp", "d/x.tmp"], "x"),
        (["--exclude", "*", "--include", "d/**"], ["x", "a-b/x"], "d/x"),
        (["--ignore-file", "rules"], ["d/skipped"], "skipped"),
        (["--exclude-from", "rules"], ["skipped", "d/skipped"], "x"),
        (["--newer-than", "@4000000000"], [], "gone"),
        (["--max-size", "0"], [], "gone"),
    ],
)
def test_what_was_not_selected_is_not_told_as_only_in_the_bucket(
    server: FaultServer,
    tree: Path,
    capsys: pytest.CaptureFixture[str],
    *,
    flags: list[str],
    left_out: list[str],
    told: str,
) -> None:
    for path in (tree.parent / "rules", tree / "d" / "rules"):
        path.write_text("skipped\n")
    for name in [*left_out, told]:
        put(server.model, f"p/{name}", b"")
    main(["verify", "tree", f"s3://{BUCKET}/p", *flags])
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("- ")]
    assert lines == [f"- s3://{BUCKET}/p/{told}: only in the bucket"]


def test_of_a_shard_only_its_own_keys_are_told(
    server: FaultServer, capsys: pytest.CaptureFixture[str]
) -> None:
    put(server.model, "p/gone", b"")
    found = []
    for share in ("1/2", "2/2"):
        main(["verify", "tree", f"s3://{BUCKET}/p", "--shard", share])
        found += [line[0] for line in capsys.readouterr().out.splitlines() if "s3://" in line]
    assert found == ["-"]


def test_beside_a_list_nothing_is_told_as_only_in_the_bucket(
    server: FaultServer, tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tree.parent / "list").write_text("a\nd/e\n")
    put(server.model, "p/gone", b"")
    assert main(["verify", "tree", f"s3://{BUCKET}/p", "--files-from", "list"]) == 0
    assert capsys.readouterr().out.endswith(" s: 2 same\n")


def test_what_a_list_names_several_times_is_compared_once(
    server: FaultServer, tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where all that is looked at in one go is one file."""
    (tree.parent / "list").write_text("d\nd/e\n" + "a\n" * (2 * BATCH + 1))
    assert main(["verify", "tree", f"s3://{BUCKET}/p", "--files-from", "list"]) == 0
    assert capsys.readouterr().out.endswith(" s: 3 same\n")


def test_of_several_sources_what_is_left_out_of_one_is_not_told(
    server: FaultServer, tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tree.parent / "other").mkdir()
    for name in ("d/x", "tree/x", "tree/d/x", "elsewhere/x"):
        put(server.model, f"p/{name}", b"")
    main(["verify", "tree", "other", f"s3://{BUCKET}/p", "--exclude", "d", "--exclude", "other"])
    told = {line.split(":")[1] for line in capsys.readouterr().out.splitlines() if line.startswith("- ")}
    assert {f"//{BUCKET}/p/tree/x", f"//{BUCKET}/p/elsewhere/x"} <= told
    assert not {f"//{BUCKET}/p/d/x", f"//{BUCKET}/p/tree/d/x"} & told


@pytest.mark.parametrize("first", [True, False])
def test_what_lies_below_a_link_that_was_passed_over_is_not_told_and_the_link_is(
    server: FaultServer, tree: Path, capsys: pytest.CaptureFixture[str], *, first: bool
) -> None:
    """Also where it comes before all that is compared."""
    other, names = tree.parent / "other", ("b1", "b2") if first else ("y1", "y2")
    write(other / "x", b"x")
    for name in names:
        (tree / name).symlink_to(other)
        put(server.model, f"p/{name}/x", b"x")
    put(server.model, f"p/{names[1]}-gone/x", b"")
    assert main(["verify", "tree", f"s3://{BUCKET}/p"]) == 1
    out, err = capsys.readouterr()
    assert [line for line in out.splitlines() if "s3://" in line] == [
        f"- s3://{BUCKET}/p/{names[1]}-gone/x: only in the bucket"
    ]
    assert err == (
        f"s3-upload: note: 1 source was passed over, and nothing is told of its keys: tree/{names[1]}: leads "
        f"to the directory that tree/{names[0]} leads to: it is uploaded there\n"
    )


def test_links_that_are_not_followed_are_told_once(
    server: FaultServer, tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("l1", "l2"):
        (tree / name).symlink_to(tree / "d")
        put(server.model, f"p/{name}/not-in-d", b"")
    assert main(["verify", "tree", f"s3://{BUCKET}/p", "--no-follow-symlinks", "--json"]) == 0
    *_, summary = map(json.loads, capsys.readouterr().out.splitlines())
    (note,) = summary["notes"]
    assert note.startswith(
        "2 sources were passed over, and nothing is told of their keys; the first: tree/l1:"
    )


def test_what_lies_below_a_directory_that_cannot_be_listed_is_not_told_as_only_in_the_bucket(
    fault_server: StartFaultServer, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To root, who may list everything, the system is made to say no."""
    model, scandir = holding(tree), os.scandir
    put(model, "p/z", b"")

    def refuses(path: Any) -> Any:
        if str(path) == str(tree / "d"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuses)
    found = marks(fault_server(model=model), tree)
    assert {key: one.mark for key, one in found.items() if one.mark != "="} == {"p/d": "!", "p/z": "-"}


@pytest.fixture
def beside(server: FaultServer, tree: Path) -> FaultServer:
    """Sources `x/a.txt`, which is old, and `tree/d`, in a place that has other files of keys' names."""
    write(tree.parent / "x" / "a.txt", b"old")
    os.utime(tree.parent / "x" / "a.txt", (1, 1))
    write(tree.parent / "README.md", b"")
    (tree.parent / ".gitignore").write_text("*.log\n")
    server.model.objects.clear()
    for name in ("d/e", "d/f"):
        put(server.model, f"p/{name}", name.encode())
    return server


@pytest.mark.parametrize(
    ("name", "sources", "code"),
    [
        ("p/a.txt", ["x/a.txt", "tree/d"], 0),
        ("p/a.txt", ["x/a.txt"], 0),
        ("p/README.md", ["x/a.txt", "tree/d"], 1),
        ("p/x.log", ["x/a.txt", "tree/d", "--ignore-file", ".gitignore"], 1),
    ],
)
def test_a_file_that_was_left_out_is_looked_for_at_the_sources_and_not_in_the_current_directory(
    beside: FaultServer, capsys: pytest.CaptureFixture[str], name: str, sources: list[str], code: int
) -> None:
    if "tree/d" not in sources:
        beside.model.objects.clear()
    put(beside.model, name, b"old")
    assert main(["verify", *sources, f"s3://{BUCKET}/p/", "--newer-than", "7d"]) == code
    told = [line for line in capsys.readouterr().out.splitlines() if line.startswith("- ")]
    assert told == ([f"- s3://{BUCKET}/{name}: only in the bucket"] if code else [])


def test_from_python_what_a_filter_leaves_out_is_not_told(fault_server: StartFaultServer, tree: Path) -> None:
    model = holding(tree)
    put(model, "p/d/gone", b"")
    put(model, "p/gone", b"")
    found = marks(fault_server(model=model), tree, exclude="d")
    assert [one.key for one in found.values() if one.mark != "="] == ["p/gone"]
