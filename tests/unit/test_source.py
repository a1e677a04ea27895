"""`files_recursive`: nothing is silently left out, whatever lies in the tree."""

from __future__ import annotations

import ctypes
import os
import socket
import struct
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from s3_upload.errors import FailureKind, SourceError
from s3_upload.request_fields import RequestFields
from s3_upload.sources.source import ObjectSource, is_utf8, utf8_of
from s3_upload.sources.walk import files_recursive
from s3_upload.text import printable
from tests.platforms import needs_any_name, needs_proc
from tests.unit.paths import null_in_path

if TYPE_CHECKING:
    from collections.abc import Iterator


def tree(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return root


def keys(sources: list[ObjectSource]) -> list[str]:
    return [source.key for source in sources]


def only(root: Path) -> ObjectSource:
    (source,) = files_recursive(root)
    return source


# --- keys and order


def test_files_come_in_the_order_of_their_keys(tmp_path: Path) -> None:
    tree(tmp_path, "b/2", "b/1", "a", "c/z/1", "c/a", "B", "b.txt")
    assert keys(list(files_recursive(tmp_path))) == ["B", "a", "b.txt", "b/1", "b/2", "c/a", "c/z/1"]


def test_a_source_names_its_file_and_nothing_is_known_of_it_yet(tmp_path: Path) -> None:
    tree(tmp_path, "d/f")
    source = only(tmp_path)
    assert source == ObjectSource(key="d/f", path=str(tmp_path / "d/f"))
    assert source.name == source.path
    assert source.size is None


@pytest.mark.parametrize(
    ("prefix", "key"),
    [("", "d/f"), ("p", "p/d/f"), ("p/", "p/d/f"), ("p/q", "p/q/d/f"), ("p//", "p//d/f"), ("/", "/d/f")],
)
def test_the_prefix_is_joined_with_one_slash(tmp_path: Path, prefix: str, key: str) -> None:
    tree(tmp_path, "d/f")
    assert keys(list(files_recursive(tmp_path, prefix))) == [key]


@pytest.mark.parametrize("spelling", ["{0}", "{0}/", "{0}/.", "{0}//"])
def test_the_spelling_of_the_directory_does_not_get_into_keys(tmp_path: Path, spelling: str) -> None:
    tree(tmp_path, "d/f")
    (source,) = files_recursive(spelling.format(tmp_path))
    assert source.key == "d/f"
    assert Path(source.path).read_bytes() == b"x"


def test_a_relative_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree(tmp_path, "d/f")
    monkeypatch.chdir(tmp_path)
    assert keys(list(files_recursive("."))) == ["d/f"]
    assert keys(list(files_recursive("d"))) == ["f"]


def test_unicode_names(tmp_path: Path) -> None:
    names = ["日本/語", "ü", "u\u0308", "a b", "a\nb", "a\\b", "-n", "😀"]
    tree(tmp_path, *names)
    assert sorted(keys(list(files_recursive(tmp_path)))) == sorted(names)


@needs_any_name
def test_names_that_are_no_unicode_keep_their_bytes(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9")
    path.write_bytes(b"x")
    source = only(tmp_path)
    assert os.fsencode(source.key) == b"caf\xe9"
    assert Path(source.path).read_bytes() == b"x"


@needs_any_name
def test_a_name_that_is_no_utf8_fails_and_the_rest_goes_on(tmp_path: Path) -> None:
    tree(tmp_path, "a", "z", os.fsdecode(b"file\xff"), os.fsdecode(b"folder\xff/f"))
    os.mkfifo(tmp_path / os.fsdecode(b"pipe\xff"))
    a, file, folder, pipe, z = files_recursive(tmp_path)
    for failed in (file, folder):  # nothing below the folder could have a key
        assert failed.problem is not None
        assert failed.problem.kind is FailureKind.REJECTED
        assert str(failed.problem) == (
            f"{printable(failed.path)}: the name is not UTF-8, which S3 requires: rename it"
        )
    assert pipe.skip_reason == "is a FIFO"
    assert (a.problem, z.problem) == (None, None)


def run_in_locale_c(*words: str | bytes) -> subprocess.CompletedProcess[str]:
    """Python where names are ASCII to it."""
    env = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "utf-8"}
    return subprocess.run(
        [sys.executable, *words], env=env, capture_output=True, text=True, encoding="utf-8", check=True
    )


@needs_any_name
def test_keys_are_the_same_whatever_the_locale(tmp_path: Path) -> None:
    names = ["日本/語", "ü", "u\u0308", "a b", "z", os.fsdecode(b"caf\xe9"), "ä/ö"]
    tree(tmp_path, *names)
    program = (
        "import sys; from s3_upload.sources.walk import files_recursive\n"
        "assert sys.getfilesystemencoding() == 'ascii'\n"
        "for source in files_recursive(sys.argv[1]):\n"
        "    print(ascii(source.key), source.problem is not None, len(open(source.path).read()))"
    )
    here = [f"{source.key!a} {source.problem is not None} 1" for source in files_recursive(tmp_path)]
    assert len(here) == len(names)
    assert run_in_locale_c("-c", program, str(tmp_path)).stdout.splitlines() == here


def test_names_in_latin_1_are_read_as_the_bytes_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsencode", lambda name: name.encode("latin-1", "surrogateescape"))
    assert utf8_of("Ã¼.txt") == "ü.txt"
    assert not is_utf8(utf8_of("ü.txt"))


def test_empty_directories_are_no_objects(tmp_path: Path) -> None:
    (tmp_path / "a/b/c").mkdir(parents=True)
    assert list(files_recursive(tmp_path)) == []


# --- links


def test_links_to_files_and_directories_are_followed(tmp_path: Path) -> None:
    tree(tmp_path, "else/where/f", "src/real")
    (tmp_path / "src/link").symlink_to("real")
    (tmp_path / "src/dir").symlink_to("../else")
    sources = list(files_recursive(tmp_path / "src"))
    assert keys(sources) == ["dir/where/f", "link", "real"]
    assert all(source.problem is None for source in sources)


def test_the_same_directory_twice_side_by_side_is_no_loop(tmp_path: Path) -> None:
    tree(tmp_path, "a/f")
    (tmp_path / "b").symlink_to("a")
    assert keys(list(files_recursive(tmp_path))) == ["a/f", "b/f"]


@pytest.mark.parametrize("target", [".", "..", "../..", "/{0}"])
def test_a_link_back_to_a_directory_above_fails_and_the_rest_goes_on(tmp_path: Path, target: str) -> None:
    tree(tmp_path, "a/b/f", "a/b/z", "z")
    (tmp_path / "a/b/loop").symlink_to(target.format(tmp_path))
    sources = list(files_recursive(tmp_path))
    assert keys(sources) == ["a/b/f", "a/b/loop", "a/b/z", "z"]
    (failed,) = [source for source in sources if source.problem]
    assert failed.key == "a/b/loop"
    assert str(failed.problem) == f"{failed.path}: the link leads back to a directory it lies in"


def test_two_directories_that_link_to_each_other_end(tmp_path: Path) -> None:
    tree(tmp_path, "a/f", "b/g")
    (tmp_path / "a/to-b").symlink_to("../b")
    (tmp_path / "b/to-a").symlink_to("../a")
    expected = ["a/f", "a/to-b/g", "a/to-b/to-a", "b/g", "b/to-a/f", "b/to-a/to-b"]
    assert keys(list(files_recursive(tmp_path))) == expected


def test_a_link_to_nothing_fails(tmp_path: Path) -> None:
    (tmp_path / "gone").symlink_to("nowhere")
    source = only(tmp_path)
    assert source.problem is not None
    assert source.problem.kind is FailureKind.SOURCE
    assert str(source.problem) == f"{source.path}: the link leads to nothing"


def test_a_link_to_itself_fails(tmp_path: Path) -> None:
    (tmp_path / "self").symlink_to("self")
    assert str(only(tmp_path).problem) == f"{tmp_path}/self: Too many levels of symbolic links"


# --- what is no file


@needs_proc
def test_fifo_socket_and_device_are_skipped_and_never_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")  # opening it would block
    (tmp_path / "device").symlink_to("/dev/null")
    with socket.socket(socket.AF_UNIX) as listener:
        here = os.open(tmp_path, os.O_RDONLY)  # a socket's path may have no more than 107 bytes
        try:
            listener.bind(f"/proc/self/fd/{here}/socket")
        finally:
            os.close(here)
        reasons = {source.key: source.skip_reason for source in files_recursive(tmp_path)}
    assert reasons == {"device": "is a character device", "fifo": "is a FIFO", "socket": "is a socket"}


def give_up_capabilities() -> None:
    """For the calling thread: permission bits then bind root, too (capset(2), version 3, all sets empty)."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.capset(struct.pack("Ii", 0x20080522, 0), bytes(24)) != 0:
        raise OSError(ctypes.get_errno(), "capset failed")


def walk_without_privileges(root: Path) -> list[tuple[str, str]]:
    """Keys and problems."""

    def walk() -> list[tuple[str, str]]:
        return [(source.key, str(source.problem or "")) for source in files_recursive(root)]

    with ThreadPoolExecutor(1, initializer=give_up_capabilities) as one_thread:
        return one_thread.submit(walk).result()


@pytest.mark.skipif(sys.platform != "linux", reason="drops privileges with Linux's capset")
def test_what_may_not_be_listed_fails_and_the_rest_goes_on(tmp_path: Path) -> None:
    tree(tmp_path, "a", "closed/f", "secret", "z")
    (tmp_path / "inside").symlink_to("closed/f")
    (tmp_path / "secret").chmod(0)
    (tmp_path / "closed").chmod(0)
    try:
        found = walk_without_privileges(tmp_path)
    finally:
        (tmp_path / "closed").chmod(0o700)
    assert found == [
        ("a", ""),
        ("closed", f"{tmp_path}/closed: Permission denied"),
        ("inside", f"{tmp_path}/inside: Permission denied"),
        ("secret", ""),  # a file is not opened before its turn
        ("z", ""),
    ]


@pytest.mark.skipif(sys.platform != "linux", reason="drops privileges with Linux's capset")
@pytest.mark.parametrize("root", ["closed", "closed/root"])
def test_a_root_that_may_not_be_listed_is_refused_in_one_line(tmp_path: Path, root: str) -> None:
    (tmp_path / "closed/root").mkdir(parents=True)
    (tmp_path / "closed").chmod(0)
    try:
        with pytest.raises(SourceError) as caught:
            walk_without_privileges(tmp_path / root)
    finally:
        (tmp_path / "closed").chmod(0o700)
    assert str(caught.value) == f"{tmp_path / root}: Permission denied"


@pytest.mark.parametrize(
    ("root", "message"),
    [
        ("{0}/none", "{0}/none: no such directory"),
        ("{0}/file", "{0}/file: is not a directory"),
        ("{0}/file/below", "{0}/file/below: is not a directory"),
        ("{0}/" + "n" * 300, "{0}/" + "n" * 300 + ": File name too long"),
        ("a\0b", f"a\\x00b: {null_in_path()}"),
    ],
)
def test_a_root_that_is_no_directory_is_refused_at_once(tmp_path: Path, root: str, message: str) -> None:
    tree(tmp_path, "file")
    with pytest.raises(SourceError) as caught:
        files_recursive(root.format(tmp_path))
    assert str(caught.value) == message.format(tmp_path)
    assert caught.value.kind is FailureKind.SOURCE


# --- sizes


def make_deep(root: Path, name: str, depth: int) -> None:
    """`depth` directories one in the other, a file in the last; with relative steps, for the path may
    become longer than the system takes."""
    here = os.open(root, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir(name, dir_fd=here)
        below = os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(os.open("f", os.O_CREAT | os.O_WRONLY, dir_fd=here))
    os.close(here)


@pytest.fixture
def deep_path(tmp_path: Path) -> Iterator[Path]:
    """Removed by `rm`: pytest's own cleaning up recurses, and such a tree is too deep for it."""
    yield tmp_path
    subprocess.run(["rm", "-rf", str(tmp_path)], check=True)


def test_twelve_hundred_levels(deep_path: Path) -> None:
    make_deep(deep_path, "d", 1_200)
    source = only(deep_path)
    assert source.key == "d/" * 1_200 + "f"
    assert "its key has 2,401 bytes, and S3 takes 1,024" in str(source.problem), "and it was found"


def test_a_path_longer_than_the_system_takes_fails_and_the_rest_goes_on(deep_path: Path) -> None:
    make_deep(deep_path, "d" * 200, 25)
    tree(deep_path, "z")
    failed, last = files_recursive(deep_path)
    assert str(failed.problem).endswith(": File name too long")
    assert last.key == "z"


def test_directories_are_listed_only_when_their_turn_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree(tmp_path, *(f"d{n:03}/f{m}" for n in range(100) for m in range(10)))
    listed: list[str] = []
    scandir = os.scandir

    def counting(path: str) -> object:
        listed.append(Path(path).name)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", counting)
    sources = files_recursive(tmp_path)
    assert listed == [tmp_path.name]
    assert [next(sources).key for _ in range(11)][-1] == "d001/f0"
    assert listed == [tmp_path.name, "d000", "d001"]
    assert len(list(sources)) == 100 * 10 - 11
    assert len(listed) == 101


def test_files_that_come_and_go_during_the_walk(tmp_path: Path) -> None:
    tree(tmp_path, "a/f", "b/f", "c/f")
    sources = files_recursive(tmp_path)
    assert next(sources).key == "a/f"
    (tmp_path / "b/f").unlink()
    (tmp_path / "b").rmdir()
    tree(tmp_path, "c/new")
    gone, *rest = sources
    assert gone.key == "b"
    assert str(gone.problem) == f"{tmp_path}/b: No such file or directory"
    assert keys(rest) == ["c/f", "c/new"]


# --- the other sources


def test_data_is_copied_where_it_could_change() -> None:
    buffer = bytearray(b"before")
    source = ObjectSource.data(buffer, "k")
    buffer[:] = b"after!"
    assert (source.body, source.size, source.name) == (b"before", 6, "data")
    unchanging = b"bytes"
    assert ObjectSource.data(unchanging, "k").body is unchanging
    assert ObjectSource.data(memoryview(b"view"), "k").body == b"view"


def test_file_and_stream() -> None:
    async def chunks():  # type: ignore[no-untyped-def]
        yield b""

    source = ObjectSource.file(Path("d/f"), "k")
    assert (source.path, source.name, source.size) == ("d/f", "d/f", None)
    stream = ObjectSource.stream(chunks(), "k", 7)  # type: ignore[no-untyped-call]
    assert (stream.name, stream.size, stream.path, stream.body) == ("stream", 7, "", None)


def test_a_source_may_have_fields_of_its_own() -> None:
    fields = RequestFields(storage_class="GLACIER")
    sources = (
        ObjectSource.file("p", "k", fields=fields),
        ObjectSource.data(b"", "k", fields=fields),
        ObjectSource.stream([], "k", fields=fields),
    )
    assert [source.fields for source in sources] == [fields] * 3
    with pytest.raises(TypeError, match="fields: must be RequestFields or None, not dict"):
        ObjectSource.file("p", "k", fields={"content_type": "x/y"})  # type: ignore[arg-type]


def test_the_repr_of_a_source_has_none_of_its_bytes() -> None:
    assert repr(ObjectSource.data(b"secret", "k")) == "<ObjectSource data of 6 bytes to k>"
    assert repr(ObjectSource.file("p", "k")) == "<ObjectSource p to k>"
    assert repr(ObjectSource.stream([b"secret"], "k")) == "<ObjectSource stream to k>"
    assert (
        repr(ObjectSource(key="k", path="p", skip_reason="is a FIFO")) == "<ObjectSource p to k: is a FIFO>"
    )
