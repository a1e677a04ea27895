"""Which content type a suffix has: our own table, in the format of mime.types, and the reader of that format.

The names that matter have the same type everywhere.  The machine's table comes last: a slim image has none,
and Debian's calls `.ts` a translation of Qt and `.orc` music.

The types are those that IANA registers (https://www.iana.org/assignments/media-types).  Where it registers
none, they are what the format's own documents or most tools say (`application/avro`, `application/x-ndjson`).
Where a suffix has two meanings, the one counts for which somebody looks at the type: `.ts` is a piece of a
video, as for nginx and rclone, since no browser runs TypeScript; `.cjs` is text/javascript and not
application/node, since browsers load such bundles.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from functools import cache
from types import NoneType

from s3_upload.checks import must_be, must_be_texts
from s3_upload.errors import ConfigError
from s3_upload.text import read_text

ContentTypes = Mapping[str, str] | str | os.PathLike[str]
"""Types of one's own, by suffix ({"gcode": "text/x-gcode"}), or a file in the format of mime.types."""

_TYPE = r"(?a)[\w!#$&^.+-]+/[\w!#$&^.+-]+(?: *;[ !-~]*)?"
"""RFC 6838, section 4.2, and parameters behind a semicolon."""

TABLE = """\
application/atom+xml atom
application/avro avro
application/dash+xml mpd
application/dicom dcm
application/epub+zip epub
application/fits fits
application/geo+json geojson
application/geopackage+sqlite3 gpkg
application/gml+xml gml
application/gpx+xml gpx
application/gzip gz tgz
application/java-archive ear jar war
application/json json map
application/jsonl jsonl
application/ld+json jsonld
application/manifest+json webmanifest
application/msword doc dot
application/octet-stream bin ckpt dll duckdb gguf npy onnx pickle pkl pt pth safetensors so tflite tfrecord
application/pdf pdf
application/pkcs12 p12 pfx
application/postscript ai eps ps
application/rss+xml rss
application/rtf rtf
application/sql sql
application/toml toml
application/vnd.android.package-archive apk
application/vnd.apache.arrow.file arrow feather
application/vnd.apache.arrow.stream arrows
application/vnd.apache.orc orc
application/vnd.apache.parquet parquet
application/vnd.apple.mpegurl m3u8
application/vnd.debian.binary-package deb
application/vnd.google-earth.kml+xml kml
application/vnd.google-earth.kmz kmz
application/vnd.las las
application/vnd.laszip laz
application/vnd.microsoft.portable-executable exe
application/vnd.ms-cab-compressed cab
application/vnd.ms-excel xls
application/vnd.ms-excel.sheet.binary.macroenabled.12 xlsb
application/vnd.ms-excel.sheet.macroenabled.12 xlsm
application/vnd.ms-fontobject eot
application/vnd.ms-outlook msg
application/vnd.ms-powerpoint ppt
application/vnd.oasis.opendocument.graphics odg
application/vnd.oasis.opendocument.presentation odp
application/vnd.oasis.opendocument.spreadsheet ods
application/vnd.oasis.opendocument.text odt
application/vnd.openxmlformats-officedocument.presentationml.presentation pptx
application/vnd.openxmlformats-officedocument.spreadsheetml.sheet xlsx
application/vnd.openxmlformats-officedocument.wordprocessingml.document docx
application/vnd.rar rar
application/vnd.sqlite3 sqlite sqlite3
application/vnd.tcpdump.pcap pcap
application/vnd.visio vsd vsdx
application/wasm wasm
application/x-7z-compressed 7z
application/x-apple-diskimage dmg
application/x-bittorrent torrent
application/x-brotli br
application/x-bzip2 bz2 tbz tbz2
application/x-hdf5 h5 hdf5
application/x-ipynb+json ipynb
application/x-iso9660-image iso
application/x-lz4 lz4
application/x-lzma lzma
application/x-matlab-data mat
application/x-mobipocket-ebook mobi
application/x-msi msi
application/x-ndjson ndjson
application/x-netcdf nc
application/x-plist plist
application/x-rpm rpm
application/x-sh sh
application/x-tar tar
application/x-xz txz xz
application/xhtml+xml xhtml
application/xml xml xsd
application/xml-dtd dtd
application/xslt+xml xsl xslt
application/yaml yaml yml
application/zip npz whl zip
application/zstd tzst zst
audio/aac aac
audio/amr amr
audio/flac flac
audio/matroska mka
audio/midi mid midi
audio/mp4 m4a
audio/mpeg mp3
audio/ogg oga ogg opus
audio/wav wav
audio/webm weba
audio/x-aiff aif aiff
audio/x-ms-wma wma
font/collection ttc
font/otf otf
font/ttf ttf
font/woff woff
font/woff2 woff2
image/apng apng
image/avif avif
image/bmp bmp
image/gif gif
image/heic heic
image/heif heif
image/jp2 jp2
image/jpeg jfif jpeg jpg
image/jxl jxl
image/ktx2 ktx2
image/png png
image/svg+xml svg
image/tiff tif tiff
image/vnd.adobe.photoshop psd
image/vnd.djvu djvu
image/vnd.microsoft.icon ico
image/webp webp
message/rfc822 eml
model/gltf+json gltf
model/gltf-binary glb
model/obj obj
model/stl stl
model/vnd.usdz+zip usdz
text/calendar ics
text/css css
text/csv csv
text/html htm html
text/javascript cjs js mjs
text/markdown markdown md
text/plain c cc cfg conf cpp go h hpp ini java kt log lua php pl rb rs srt swift text txt
text/tab-separated-values tsv
text/vcard vcf
text/vtt vtt
text/x-diff diff patch
text/x-python py
text/x-rst rst
text/x-ssa ass ssa
video/3gpp 3gp
video/iso.segment m4s
video/matroska mkv
video/mp2t m2ts ts
video/mp4 m4v mp4
video/mpeg mpeg mpg
video/ogg ogv
video/quicktime mov
video/webm webm
video/x-flv flv
video/x-ms-wmv wmv
video/x-msvideo avi
"""


@cache
def own_types() -> Mapping[str, str]:
    """Our table, by suffix in small letters and without its dot."""
    return parsed(TABLE, "the table")


def content_types_of(given: ContentTypes | None) -> Mapping[str, str]:
    """What a caller gives, by suffix in small letters and without its dot. Raises `TypeError` and
    `ConfigError`."""
    kinds = (Mapping, str, os.PathLike, NoneType)
    must_be("content_types", given, kinds, "a mapping of str to str, a path or None")
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        return read(os.fspath(given))
    must_be_texts("content_types", given)
    types: dict[str, str] = {}
    for suffix, content_type in given.items():
        _add(types, suffix, _checked(content_type, "content_types"), "content_types")
    return types


def read(path: str) -> Mapping[str, str]:
    """What the file at `path` says, as mime.types does. Raises `ConfigError`, which names the line."""
    try:
        text = read_text(path)
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ConfigError(f"{path}:{line}: is not UTF-8") from error
    except (OSError, ValueError) as error:  # ValueError: a null character
        raise ConfigError(f"{path}: {getattr(error, 'strerror', None) or error}") from error
    return parsed(text, path)


def parsed(text: str, name: str) -> Mapping[str, str]:
    """The suffixes of `text`, which messages call `name`: lines of a type and its suffixes; # begins a
    comment. A type alone names no suffix, as in the system's mime.types."""
    types: dict[str, str] = {}
    for number, line in enumerate(text.split("\n"), 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        where = f"{name}:{number}"
        content_type = _checked(words[0], where)
        for suffix in words[1:]:
            _add(types, suffix, content_type, where)
    return types


def _checked(content_type: str, where: str) -> str:
    if not re.fullmatch(_TYPE, content_type):
        what = content_type or "an empty text"
        raise ConfigError(f"{where}: {what} is no content type, such as text/plain")
    return content_type


def _add(types: dict[str, str], suffix: str, content_type: str, where: str) -> None:
    """Raises `ConfigError` for a suffix that no name has, or that has another type already."""
    bare = suffix.removeprefix(".").lower()
    if not bare or "." in bare or "/" in bare:
        raise ConfigError(f"{where}: {suffix or 'an empty text'} is no suffix of a name, such as html")
    if types.setdefault(bare, content_type) != content_type:
        raise ConfigError(f"{where}: {suffix} is {types[bare]} already")
