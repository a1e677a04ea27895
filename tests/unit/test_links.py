"""Links that are not followed: found or given, they are skipped, and nothing behind them is sent."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from s3_upload import Filter, files_recursive, upload
from s3_upload.cli.main import main
from s3_upload.sources.linked import MAX_WAYS, Linked
from s3_upload.sources.mapping import Destination
from s3_upload.sources.source import ObjectSource
from s3_upload.sources.walk import LINK, Listings, sources_of
from tests.mapped import map_paths, walk_paths
from tests.platforms import needs_any_name

LINKS = {"broken", "dir_link", "file_link", "loop"}


@pytest.fixture(autouse=True)
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`src` has a file, a directory with one, and links: to a file, a directory, nothing, and itself."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "key").write_text("secret")
    (tmp_path / "src" / "sub").mkdir(parents=True)
    (tmp_path / "src" / "a").write_text("a")
    (tmp_path / "src" / "sub" / "b").write_text("b")
    (tmp_path / "src" / "file_link").symlink_to("../secret/key")
    (tmp_path / "src" / "dir_link").symlink_to("../secret")
    (tmp_path / "src" / "broken").symlink_to("nowhere")
    (tmp_path / "src" / "loop").symlink_to(".")
    (tmp_path / "src" / "sub" / "up").symlink_to("..")
    (tmp_path / "src_link").symlink_to("src")
    (tmp_path / "a_link").symlink_to("src/a")
    return tmp_path / "src"


def sent_and_skipped(sources: list[ObjectSource]) -> tuple[list[str], list[str]]:
    assert [source for source in sources if source.problem is not None] == []
    assert {source.skip_reason for source in sources} <= {"", LINK}
    return (
        [source.key for source in sources if not source.skip_reason],
        [source.path for source in sources if source.skip_reason],
    )


def test_links_that_are_found_are_skipped() -> None:
    sources = list(files_recursive("src", follow_symlinks=False))
    sent, skipped = sent_and_skipped(sources)
    assert sent == ["a", "sub/b"]
    assert skipped == [*(f"src/{name}" for name in sorted(LINKS)), "src/sub/up"]


@pytest.mark.parametrize("given", ["src_link", "src_link/", "a_link", "src/broken"])
def test_a_link_that_is_given_is_skipped_too(given: str) -> None:
    for paths, sent in (([given], []), ([given, "secret"], ["secret/key"])):
        sources = list(map_paths(paths, Destination("b"), follow_symlinks=False))
        assert sent_and_skipped(sources) == (sent, [given])
    assert files_recursive("src_link")  # as before


def test_what_lies_behind_a_link_can_be_named_all_the_same() -> None:
    sources = list(map_paths(["src_link/."], Destination("b"), follow_symlinks=False))
    assert sent_and_skipped(sources)[0] == ["a", "sub/b"]


def test_to_a_pattern_a_link_that_is_not_followed_is_no_directory() -> None:
    left_out = Filter(exclude=["*_link/", "loop", "broken", "up"])
    sources = list(files_recursive("src", filter=left_out, follow_symlinks=False))
    assert sent_and_skipped(sources) == (["a", "sub/b"], ["src/dir_link", "src/file_link"])


def test_the_look_ahead_walks_the_same() -> None:
    listings = Listings()
    given = (["src"], Destination("b"), None, listings)
    ahead = list(sources_of(walk_paths(*given, follow_symlinks=False)))
    assert ahead == list(map_paths(*given, follow_symlinks=False))


def test_the_command_and_the_calls_do_not_follow_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["src", "s3://bkt", "--dryrun", "--no-follow-symlinks"]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[:2] == [
        "(dryrun) upload: src/a to s3://bkt/a",
        "(dryrun) upload: src/sub/b to s3://bkt/sub/b",
    ]
    assert f"(dryrun) skipped: src/dir_link: {LINK}" in err
    assert "secret" not in out + err
    assert (
        main(
            [
                "perf-data",
                "src",
                "bkt",
                "p",
                "--dryrun",
                "--embedded",
                "s",
                *["--no-follow-symlinks", "--quiet"],
            ]
        )
        == 0
    )
    assert main(["secret", "s3://bkt", "--dryrun", "--follow-symlinks"]) == 0
    assert "upload: secret/key" in capsys.readouterr().out
    assert main(["secret", "s3://bkt", "--dryrun", "--no-follow-symlinks", "--follow-symlinks"]) == 0
    assert "upload: secret/key" in capsys.readouterr().out, "the last one counts"
    nobody = "http://127.0.0.1:1"
    summary = upload("src_link", "s3://bkt", follow_symlinks=False, endpoint_url=nobody, region="r")
    assert (summary.uploaded, [report.reason for report in summary.skipped]) == (0, [LINK])
    with pytest.raises(TypeError, match="follow_symlinks: must be True or False"):
        files_recursive("src", follow_symlinks=0)  # type: ignore[arg-type]


def test_they_are_followed_unless_that_is_said() -> None:
    for name in ("broken", "loop", "sub/up"):
        Path("src", name).unlink()
    assert [source.key for source in map_paths(["src_link"], Destination("b"))] == [
        "a", "dir_link/key", "file_link", "sub/b",
    ]  # fmt: skip


# --- directories that several links lead to -------------------------------------------------------


def cross_linked(root: Path, count: int) -> None:
    """Folders with a file each, and links to all others."""
    for number in range(count):
        (root / f"d{number}").mkdir(parents=True)
        (root / f"d{number}" / "file").touch()
        for other in range(count):
            if other != number:
                (root / f"d{number}" / f"to{other}").symlink_to(f"../d{other}")


def test_eight_cross_linked_folders_are_walked_in_bounded_time_and_nothing_is_missing(tmp_path: Path) -> None:
    cross_linked(tmp_path / "knot", 8)
    found = list(files_recursive(tmp_path / "knot"))
    sent = [source.key for source in found if not (source.problem or source.skip_reason)]
    assert {f"d{number}/file" for number in range(8)} <= set(sent)
    assert len(sent) == 8 + 8, "each at its own place, and once behind a link"
    assert len(found) < 200


def test_a_directory_behind_several_links_is_walked_at_the_first_and_the_others_name_it() -> None:
    for name in ("loop", "sub/up", "broken"):
        Path("src", name).unlink()
    Path("src/sub/z_link").symlink_to("../../secret")
    Path("other").mkdir()
    Path("other/l").symlink_to("../src/dir_link")
    found = list(map_paths(["src", "other"], Destination("b")))
    assert [source.key for source in found if not source.skip_reason] == [
        "src/a", "src/dir_link/key", "src/file_link", "src/sub/b",
    ]  # fmt: skip
    why = "leads to the directory that src/dir_link leads to: it is uploaded there"
    skipped = [(source.path, source.skip_reason) for source in found if source.skip_reason]
    assert skipped == [("src/sub/z_link", why), ("other/l", why)]


def test_a_directory_at_its_own_place_is_walked_whatever_links_lead_to_it() -> None:
    Path("src/loop").unlink()
    Path("src/a_link_to_sub").symlink_to("sub")
    Path("src/z_link_to_sub").symlink_to("sub")
    keys = [source.key for source in files_recursive("src") if not (source.problem or source.skip_reason)]
    assert [key for key in keys if "sub/" in key] == ["a_link_to_sub/b", "sub/b"]


@pytest.fixture
def two_links(tmp_path: Path) -> Path:
    """Two links to a directory with two files; and a file of patterns in the language of .gitignore."""
    (tmp_path / "there").mkdir()
    for name in ("f.bin", "g"):
        (tmp_path / "there" / name).touch()
    root = tmp_path / "two"
    root.mkdir()
    for name in ("a", "b"):
        (root / name).symlink_to("../there")
    (root / "rules").write_text("a/*.bin\nrules\n")
    return root


def keys_of(root: Path, filter: Filter) -> list[str]:
    found = files_recursive(root, filter=filter)
    return [source.key for source in found if not (source.problem or source.skip_reason)]


@pytest.mark.parametrize(
    ("filter", "behind_a"),
    [
        (Filter(exclude=["a/*", "rules"]), []),
        (Filter(exclude=["a/*.bin", "rules"]), ["a/g"]),
        (Filter(exclude=["a", "rules"], include="*.bin"), ["a/f.bin"]),
        (Filter(exclude_from="two/rules"), ["a/g"]),
        (Filter(ignore_file="rules"), ["a/g"]),
    ],
)
def test_what_patterns_leave_out_behind_the_first_link_is_taken_behind_the_second(
    two_links: Path, filter: Filter, behind_a: list[str]
) -> None:
    assert keys_of(two_links, filter) == [*behind_a, "b/f.bin", "b/g"]


@pytest.mark.parametrize("lines", ["", "*.bin\n"])
def test_what_does_not_depend_on_the_path_is_walked_once(two_links: Path, lines: str) -> None:
    (two_links / "rules").write_text(f"{lines}rules\n")
    for filter in (
        Filter(exclude=["rules", *lines.split()]), Filter(exclude_from="two/rules"),
        Filter(ignore_file="rules"), Filter(max_size=0, exclude="rules"),
    ):  # fmt: skip
        assert [key for key in keys_of(two_links, filter) if key.startswith("b")] == []


def test_of_several_files_of_patterns_each_counts_for_its_own_link(two_links: Path) -> None:
    """Each of the two directories with a link has one, and nothing of the first is lost by the second."""
    for name in ("a", "b", "rules"):
        (two_links / name).unlink()
    for name, lines in (("x", "*.bin"), ("y", "none"), ("z", "*.bin")):
        (two_links / name).mkdir()
        (two_links / name / "rules").write_text(f"{lines}\nrules\n")
        (two_links / name / "link").symlink_to("../../there")
    assert keys_of(two_links, Filter(ignore_file="rules")) == ["x/link/g", "y/link/f.bin", "y/link/g"]


def test_patterns_of_paths_keep_the_walk_of_cross_linked_folders_bounded(tmp_path: Path) -> None:
    cross_linked(tmp_path / "knot", 8)
    found = list(files_recursive(tmp_path / "knot", exclude="**/other/x"))
    sent = {source.key for source in found if not (source.problem or source.skip_reason)}
    assert {f"d{number}/file" for number in range(8)} <= sent
    assert {f"d{one}/to{other}/file" for one in range(8) for other in range(8) if one != other} <= sent
    most = 8 + 8 * 7 + 8 * MAX_WAYS
    assert len(sent) <= most
    assert len(found) <= 8 * most
    why = {str(source.problem).partition(": ")[2] for source in found if source.problem}
    assert why == {
        "the link leads back to a directory it lies in",
        "100 links behind links have led to this directory, and with patterns of paths what is taken may "
        "differ: exclude this link",
    }
    assert not any(source.skip_reason for source in found)


@pytest.mark.parametrize("exclude", ["/build", "docs/*.pdf", "d0/nothing/*"])
def test_patterns_of_paths_that_can_match_nothing_there_change_nothing(tmp_path: Path, exclude: str) -> None:
    cross_linked(tmp_path / "knot", 8)
    sent = keys_of(tmp_path / "knot", Filter(exclude=exclude))
    assert len(sent) <= 8 + 8 + 8


@needs_any_name
def test_what_is_behind_a_link_without_a_key_is_uploaded_behind_the_next(two_links: Path) -> None:
    (two_links / "a").rename(two_links / os.fsdecode(b"a\xff"))
    assert keys_of(two_links, Filter(exclude="rules")) == ["b/f.bin", "b/g"]


def test_files_are_uploaded_under_each_of_their_names() -> None:
    Path("src/second").symlink_to("../secret/key")
    os.link("src/a", "src/hard")
    keys = [source.key for source in files_recursive("src")]
    assert {"a", "hard", "file_link", "second"} <= set(keys)


def test_where_inodes_tell_nothing_the_real_path_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on file systems that give one number to all."""
    stat = Path.stat

    def all_alike(path: Path, **how: bool) -> os.stat_result:
        info = stat(path, **how)
        return os.stat_result((info.st_mode, 7, 7, *info[3:]))

    linked = Linked()
    Path("other").mkdir()
    Path("src/to_other").symlink_to("../other")
    monkeypatch.setattr(Path, "stat", all_alike)
    infos = {name: Path("src", name).stat() for name in ("dir_link", "to_other", "sub/up")}
    assert [linked.first(f"src/{name}", info) for name, info in infos.items()] == [
        f"src/{name}" for name in infos
    ]
    assert linked.first("src_link/dir_link", infos["dir_link"]) == "src/dir_link"


def test_of_two_walks_of_one_run_each_finds_the_same() -> None:
    for name in ("loop", "sub/up", "broken"):
        Path("src", name).unlink()
    Path("src/dir_link_2").symlink_to("../secret")
    listings = Listings()
    given = (["src"], Destination("b"), None, listings)
    assert list(sources_of(walk_paths(*given))) == list(map_paths(*given))
