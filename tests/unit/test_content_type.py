"""What a name says of the content."""

from __future__ import annotations

import mimetypes
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from s3_upload import ConfigError, ObjectSource, RequestFields, content_type_by_name
from s3_upload.cli.main import main
from s3_upload.sources.content_type import Guess
from s3_upload.sources.content_types import TABLE, content_types_of, own_types, read


def told(request: Callable[[ObjectSource], RequestFields], name: str) -> tuple[str | None, str | None]:
    """Type and encoding."""
    said = request(ObjectSource.file(f"dir/{name}", "some/key.css"))
    return said.content_type, said.content_encoding


def guess(name: str, content_encoding: str | None = None) -> tuple[str | None, str | None]:
    return told(content_type_by_name(RequestFields(content_encoding=content_encoding)), name)


@pytest.mark.parametrize(
    ("name", "content_type"),
    [
        ("a.txt", "text/plain"),
        ("a.JSON", "application/json"),
        ("a.b.png", "image/png"),
        ("a.ts", "video/mp2t"),
        ("a.rss", "application/rss+xml"),
        ("a.orc", "application/vnd.apache.orc"),
        ("a.parquet", "application/vnd.apache.parquet"),
        ("noext", None),
        (".html", None),
        ("a.", None),
        ("v1.html/noext", None),
        ("a.unheardof", None),
    ],
)
def test_the_content_type_is_guessed_from_the_name(name: str, content_type: str | None) -> None:
    request = content_type_by_name()
    assert request(ObjectSource.file(f"dir/{name}", "some/key.css")).content_type == content_type
    assert request(ObjectSource.data(b"", name)).content_type == content_type


@pytest.mark.parametrize(
    ("name", "content_type"),
    [
        ("a.tar.gz", "application/gzip"),
        ("a.tgz", "application/gzip"),
        ("a.csv.gz", "application/gzip"),
        ("a.csv.br", "application/x-brotli"),
        ("a.json.GZ", "application/gzip"),
        ("a.log.zst", "application/zstd"),
        ("a.sql.bz2", "application/x-bzip2"),
        ("a.js.xz", "application/x-xz"),
        ("a.unheardof.gz", "application/gzip"),
        ("gz.gz", "application/gzip"),
        (".js.gz", "application/gzip"),
    ],
)
def test_what_is_compressed_is_a_file_of_its_own(name: str, content_type: str) -> None:
    assert guess(name) == (content_type, None)


@pytest.mark.parametrize(
    ("name", "content_type", "encoding"),
    [
        ("a.js.gz", "text/javascript", "gzip"),
        ("a.JS.GZ", "text/javascript", "gzip"),
        ("a.min.css.br", "text/css", "br"),
        ("a.wasm.zst", "application/wasm", "zstd"),
        ("a.html.gz", "text/html", "gzip"),
        ("a.svgz", "image/svg+xml", "gzip"),
    ],
)
def test_what_only_a_browser_loads_is_unpacked_by_it(name: str, content_type: str, encoding: str) -> None:
    assert guess(name) == (content_type, encoding)


def test_who_says_an_encoding_says_that_the_type_is_the_inner_one() -> None:
    assert guess("a.csv.gz", content_encoding="gzip") == ("text/csv", "gzip")
    assert guess("a.csv.gz", content_encoding="br") == ("application/gzip", "br")
    assert guess("a.js.gz", content_encoding="identity") == ("application/gzip", "identity")
    assert guess("a.csv", content_encoding="gzip") == ("text/csv", "gzip")


def test_a_given_content_type_is_not_guessed() -> None:
    fields = RequestFields(content_type="x/y")
    assert content_type_by_name(fields)(ObjectSource.file("a.svgz", "a.svgz")) is fields


def test_a_guess_leaves_the_other_fields_alone() -> None:
    request = content_type_by_name(RequestFields(acl="private", metadata={"a": "b"}))
    assert request(ObjectSource.file("a.txt", "k")) == RequestFields(
        content_type="text/plain", acl="private", metadata={"a": "b"}
    )


def test_of_a_source_with_fields_of_its_own_the_type_is_guessed_too() -> None:
    said = Guess(RequestFields(acl="private"))
    own = ObjectSource.file("a.svgz", "k", fields=RequestFields(cache_control="no-store"))
    assert said(own) == RequestFields(
        cache_control="no-store", content_type="image/svg+xml", content_encoding="gzip"
    )
    typed = RequestFields(content_type="x/y")
    assert said(ObjectSource.file("a.svgz", "k", fields=typed)) is typed


def test_the_table_is_sorted_and_says_each_suffix_once() -> None:
    lines = [line.split() for line in TABLE.splitlines()]
    assert [words[0] for words in lines] == sorted(words[0] for words in lines)
    assert all(words[1:] == sorted(words[1:]) and words[1:] for words in lines)
    suffixes = [suffix for words in lines for suffix in words[1:]]
    assert len(suffixes) == len(set(suffixes)) == len(own_types())
    assert all(re.fullmatch(r"[a-z0-9]+", suffix) for suffix in suffixes)
    assert all(content_type == content_type.lower() for content_type in own_types().values())


NAMES_THAT_MATTER = """
html htm css js mjs cjs json map xml xhtml svg svgz webmanifest wasm txt md csv tsv rss atom ics vcf
woff woff2 ttf otf eot png jpg jpeg gif webp avif heic heif ico bmp tif tiff apng jxl psd
pdf doc docx xls xlsx ppt pptx odt ods odp rtf epub eml
mp3 m4a aac flac ogg oga opus wav weba mid mp4 m4v webm mkv mov avi mpg mpeg ogv ts m3u8 mpd vtt srt 3gp flv
zip gz tgz bz2 xz zst br 7z rar tar jar war apk deb rpm dmg iso exe msi whl wmv
parquet orc avro arrow feather ndjson jsonl geojson ipynb yaml yml toml sql sqlite h5 hdf5 nc npy npz pkl pt
ckpt safetensors onnx gguf glb gltf stl kml kmz gpx gpkg dcm las py sh log c rs go java pth
"""


def test_the_names_that_matter_do_not_depend_on_the_machine() -> None:
    names = NAMES_THAT_MATTER.split()
    script = (
        "import mimetypes, sys\n"
        "mimetypes.init(files=[])\n"  # as on a slim image
        "for table in (mimetypes.types_map, mimetypes.encodings_map, mimetypes.suffix_map):\n"
        "    table.clear()\n"
        "from s3_upload import ObjectSource, content_type_by_name\n"
        "guess = content_type_by_name()\n"
        "for suffix in sys.argv[1:]:\n"
        "    print(guess(ObjectSource.file('a.' + suffix, 'k')).content_type)\n"
    )
    environment = os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0"}
    ran = subprocess.run(
        [sys.executable, "-c", script, *names],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.split() == [guess("a." + suffix)[0] for suffix in names]
    assert "None" not in ran.stdout


def test_a_name_that_the_table_does_not_know_is_the_machines_to_know() -> None:
    assert "tcl" not in own_types()
    assert guess("a.tcl")[0] == mimetypes.guess_type("a.tcl")[0] is not None


# --- tables of one's own ------------------------------------------------------------------------------------


def test_types_of_ones_own_come_first(tmp_path: Path) -> None:
    file = tmp_path / "my.types"
    file.write_text("# ours\n\ntext/x-gcode gcode nc  # of a mill\nimage/nothing\napplication/x-gzip .GZ\n")
    mapping = {"gcode": "text/x-gcode", ".NC": "text/x-gcode", "gz": "application/x-gzip"}
    for given in (file, str(file), mapping):
        request = content_type_by_name(content_types=given)
        assert told(request, "a.GCODE") == told(request, "a.nc") == ("text/x-gcode", None)
        assert told(request, "a.js.gz") == (
            "application/x-gzip",
            None,
        )  # says what all .gz are
        assert told(request, "a.txt") == ("text/plain", None)


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        (b"text/plain a\ntextplain b\n", 2, "textplain is no content type"),
        (b"html text/html\n", 1, "html is no content type"),
        (b"\n\ntext/plain tar.gz\n", 3, "tar.gz is no suffix"),
        (b"text/plain .\n", 1, ". is no suffix"),
        (b"text/plain a/b\n", 1, "a/b is no suffix"),
        (b"text/plain a\ntext/html b A\n", 2, "A is text/plain already"),
        (b"text/plain a\ntext/html \xff\n", 2, "is not UTF-8"),
        (b"text/pl\xc3\xa4in a\n", 1, "is no content type"),
    ],
)
def test_a_mistake_in_the_file_is_one_line_that_names_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: bytes, line: int, what: str
) -> None:
    file = tmp_path / "my.types"
    file.write_bytes(text)
    with pytest.raises(ConfigError, match=f"^{re.escape(str(file))}:{line}: .*{re.escape(what)}"):
        read(str(file))
    assert main([str(tmp_path), "s3://bucket", "--dryrun", "--content-type-map", str(file)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"s3-upload: error: --content-type-map {file}:{line}: ")
    assert err.count("\n") == 1


def test_a_file_of_types_that_is_not_there_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a").touch()
    assert main([str(tmp_path), "s3://bucket", "--content-type-map", "gone.types"]) == 2
    assert "--content-type-map gone.types: No such file or directory" in capsys.readouterr().err
    with pytest.raises(TypeError, match="content_types: must be a mapping"):
        content_types_of(5)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="content_types: plain is no content type"):
        content_types_of({"a": "plain"})
