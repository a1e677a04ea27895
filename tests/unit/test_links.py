"""Links that are not followed: found or given, they are skipped, and nothing behind them is sent."""

from __future__ import annotations

from pathlib import Path

import pytest

from s3_upload import Filter, files_recursive, upload
from s3_upload.cli.main import main
from s3_upload.sources.mapping import Destination, map_paths, walk_paths
from s3_upload.sources.source import ObjectSource
from s3_upload.sources.walk import LINK, Listings, sources_of

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
