"""Makes hostile answers: valid ones mutated, grammar run wild, and noise.

Everything is drawn from one `random.Random`: hypothesis's own, which it can shrink, or a seeded one,
which replays.  What S3 never says is here on purpose; what it does say is where mutation begins.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from random import Random
from typing import NamedTuple

CRLF = b"\r\n"
MAX_UNITS = 64


class Answer(NamedTuple):
    """What the other side sends, as it arrives, and whether it then closes in good order."""

    pieces: tuple[bytes, ...]
    closes: bool


ERROR = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>SlowDown</Code><Message>Please reduce your '
    b"request rate.</Message><RequestId>4442587FB7D0A2F9</RequestId></Error>"
)
CREATED = (
    b"<InitiateMultipartUploadResult><Bucket>b</Bucket><Key>k</Key><UploadId>VXBsb2FkIElE</UploadId>"
    b"</InitiateMultipartUploadResult>"
)
COMPLETED = (
    b'<CompleteMultipartUploadResult><ETag>"3858f62230ac3c915f300c664312c11f-9"</ETag>'
    b"</CompleteMultipartUploadResult>"
)
XML_TRICKS = (
    b"<Error><Code>Slow\x00Down</Code></Error>",
    b"<Error><Code>\xe2\x80\xaeNoSuchBucket</Code><Message>\x1b[2J\r\n\xc2\x85</Message></Error>",
    b"<Error><Code>&#0;&#x10FFFF;&#99999999999;&#xD800;&lt;</Code></Error>",
    b"<Error><Message>" + b"&amp;" * 9000 + b"</Message></Error>",
    b"<Error>" * 3000,
    b"<Error><Code>" + b"A" * 70_000 + b"</Code></Error>",
    b"<Error><Code><Code>AccessDenied</Code></Code><Code>SlowDown</Code>",
    b'<!DOCTYPE e [<!ENTITY a "&b;&b;"><!ENTITY b "&a;&a;">]><Error><Code>&a;</Code></Error>',
    b"</Code><Code></Message><Message></Error><Error>",
    b"<Error><Code>\xff\xfe\xc3\x28\xed\xa0\x80</Code><RequestId>\xf0\x28\x8c\xbc</RequestId>",
    b"<UploadId>" + b"u" * 3000 + b"</UploadId>",
    b"<UploadId>a\nb\x7f</UploadId><ETag>\x00</ETag>",
    b" " * 5000 + ERROR,
    b"<Error><Code>InternalErr",
)
STATUSES = (
    b"200 OK", b"204 No Content", b"301 Moved", b"304 Not Modified", b"400 Bad Request", b"403 Forbidden",
    b"404 Not Found", b"408 Request Timeout", b"409 Conflict", b"412 x", b"500 Oops", b"503 Slow Down",
    b"100 Continue", b"101 Switching Protocols", b"103 Early Hints", b"199 x", b"000 x", b"099 x", b"600 x",
    b"999 x", b"20 x", b"2000 x", b"-200 x", b"+200 x", b"2 0 0", b"", b"200", b"200 " + b"r" * 9000,
    b"200 \x00\xff\x1b[31m", b"2\x0000 OK",
)  # fmt: skip
VERSIONS = (
    b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0", b"HTTP/0.9", b"HTTP/9.9",
    b"http/1.1", b"HTTP/1.", b"ICY", b"RTSP/1.0", b"",
)  # fmt: skip
LENGTHS = (
    b"0", b"1", b"2", b"9", b"1048576", b"1048577", b"9999999999", b"18446744073709551615",
    b"18446744073709551616", b"9" * 400, b"-1", b"+3", b"0x10", b"3, 3", b"3 3", b" 3", b"3\t", b"",
    b"\xd9\xa3",
)  # fmt: skip
CHUNK_SIZES = (
    b"0", b"1", b"5", b"A", b"fffff", b"ffffffff", b"ffffffffffffffff", b"10000000000000000", b"-1", b"0x5",
    b"5 ", b" 5", b"5;x=y", b"5;" + b"e" * 9000, b"g", b"", b"\x00", b"00000000000000000000005",
)  # fmt: skip
HEADERS = (
    b"Connection: close", b"Connection: keep-alive", b"Connection: Upgrade", b"Upgrade: h2c",
    b"Connection: Upgrade\r\nUpgrade: h2c",
    b"Transfer-Encoding: chunked", b"Transfer-Encoding: gzip, chunked", b"Transfer-Encoding: chunked, gzip",
    b"Transfer-Encoding: identity", b"Transfer-Encoding: chunked, chunked", b"transfer-encoding : chunked",
    b"Content-Encoding: gzip", b"Trailer: x", b"ETag: \"e\"", b"ETag: ", b"ETag: \x80\x9b31m",
    b"Retry-After: 5", b"Retry-After: -1", b"Retry-After: 99999999999999", b"Retry-After: 1e999",
    b"Retry-After: Wed, 21 Oct 2015 07:28:00 GMT", b"Retry-After: \xb2", b"x-amz-retry-after: nan",
    b"x-amz-retry-after: 250", b"x-amz-request-id: \x9b31m\x85", b"x-amz-request-id: " + b"i" * 5000,
    b": no name", b"no colon", b" folded: 1", b"a: b\r\n folded", b"N\x00L: 1", b"nul: \x00", b"cr: a\rb",
    b"lf: a\nb: c", b"\xc3\xbc: \xc3\xbc", b"h: " + b"v" * 70_000, b"n" * 70_000 + b": v", b"v: \x7f\x1b[2J",
)  # fmt: skip


def hostile(rng: Random) -> Answer:
    """One answer, cut into pieces as the network might."""
    raw = rng.choice(_KINDS)(rng)
    for _ in range(rng.choice((0, 0, 1, 1, 2, 4))):
        raw = rng.choice(_MUTATIONS)(raw, rng)
    return Answer(_pieces(raw, rng), rng.random() < 0.5)


# --- what to begin with ---------------------------------------------------------------------------


def _valid(rng: Random) -> bytes:
    status = rng.choice((b"200 OK", b"200 OK", b"503 Slow Down", b"400 Bad Request", b"403 Forbidden"))
    body = rng.choice((b"", ERROR, CREATED, COMPLETED, b"x" * 100))
    head = b"HTTP/1.1 " + status + b'\r\nETag: "e"\r\nx-amz-request-id: 1\r\n'
    if rng.random() < 0.3:
        return head + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (
            len(body) or 1,
            body or b"-",
        )
    return head + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


def _tricky_body(rng: Random) -> bytes:
    status, body = rng.choice((b"200 OK", b"400 B", b"500 E", b"307 R")), rng.choice(XML_TRICKS)
    return b"HTTP/1.1 %b\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body)


def _wild_head(rng: Random) -> bytes:
    """A head of odd parts, with a length that may be anyone's guess."""
    lines = [rng.choice(VERSIONS) + b" " + rng.choice(STATUSES)]
    lines += [rng.choice(HEADERS) for _ in range(rng.randrange(5))]
    lines += [b"Content-Length: " + rng.choice(LENGTHS) for _ in range(rng.choice((0, 1, 1, 2)))]
    return CRLF.join((*lines, b"", rng.choice((b"", b"abc", ERROR, _valid(rng)))))


def _wild_chunks(rng: Random) -> bytes:
    chunks = b"".join(
        rng.choice(CHUNK_SIZES) + rng.choice((CRLF, CRLF, b"\n", b"")) + rng.choice((b"12345\r\n", b"1", b""))
        for _ in range(rng.randrange(6))
    )
    trailer = rng.choice((b"0\r\n\r\n", b"0\r\nT: 1\r\n\r\n", b"0\r\nT: " + b"t" * 70_000 + b"\r\n\r\n", b""))
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + trailer


def _interim(rng: Random) -> bytes:
    """1xx before the answer: some are allowed (RFC 9110 §15.2), a flood is not."""
    status = rng.choice((b"100 Continue", b"102 Processing", b"103 Early Hints"))
    header = rng.choice((b"", b"", b"Link: </a>; rel=preload\r\n", b"Content-Length: 5\r\n"))
    one = b"HTTP/1.1 " + status + CRLF + header + CRLF
    return one * rng.choice((1, 2, 100, 5000)) + _valid(rng)


def _upgrade(rng: Random) -> bytes:
    """A switch to a protocol nobody asked for."""
    status = rng.choice((b"101 Switching Protocols", b"200 OK", b"426 Upgrade Required"))
    head = b"HTTP/1.1 " + status + b"\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
    return head + rng.choice((b"", b"PRI * HTTP/2.0\r\n\r\n", _valid(rng)))


def _noise(rng: Random) -> bytes:
    return bytes(rng.choices(range(256), k=rng.randrange(1, 40))) * rng.randrange(1, MAX_UNITS)


_KINDS: tuple[Callable[[Random], bytes], ...] = (
    _valid, _valid, _tricky_body, _wild_head, _wild_head, _wild_chunks, _interim, _upgrade,
    _noise,
)  # fmt: skip


# --- mutations --------------------------------------------------------------------------------------


def _cut(raw: bytes, rng: Random) -> bytes:
    return raw[: rng.randrange(len(raw) + 1)]


def _change_byte(raw: bytes, rng: Random) -> bytes:
    at = rng.randrange(len(raw) + 1)
    return raw[:at] + bytes((rng.randrange(256),)) + raw[at + 1 :]


def _insert(raw: bytes, rng: Random) -> bytes:
    at = rng.randrange(len(raw) + 1)
    what = rng.choice((b"\x00", CRLF, b"\r", b"\n", b" ", b"\t", b"\xff" * 9, rng.choice(HEADERS) + CRLF))
    return raw[:at] + what + raw[at:]


def _repeat(raw: bytes, rng: Random) -> bytes:
    start = rng.randrange(len(raw) + 1)
    end = min(len(raw), start + rng.randrange(1, 60))
    return raw[:end] + raw[start:end] * rng.randrange(1, MAX_UNITS) + raw[end:]


def _repeat_line(raw: bytes, rng: Random) -> bytes:
    lines = raw.split(CRLF)
    at = rng.randrange(len(lines))
    return CRLF.join(lines[:at] + [lines[at]] * rng.randrange(1, 5) + lines[at:])


def _add_header(raw: bytes, rng: Random) -> bytes:
    first, line_end, rest = raw.partition(CRLF)
    header = rng.choice((*HEADERS, b"Content-Length: " + rng.choice(LENGTHS)))
    return first + line_end + header + CRLF + rest


def _surplus(raw: bytes, rng: Random) -> bytes:
    return raw + rng.choice((b"x", CRLF, b"\x00" * 9, b"HTTP/1.1 200 OK\r\n", _valid(rng)))


_MUTATIONS: tuple[Callable[[bytes, Random], bytes], ...] = (
    _cut, _change_byte, _insert, _repeat, _repeat_line, _add_header, _surplus,
)  # fmt: skip


def _pieces(raw: bytes, rng: Random) -> tuple[bytes, ...]:
    """Cut at up to three places; a short answer now and then into single bytes."""
    if len(raw) < 200 and rng.random() < 0.1:
        return tuple(raw[at : at + 1] for at in range(len(raw)))
    places = sorted(rng.randrange(len(raw) + 1) for _ in range(rng.randrange(4)))
    bounds = [0, *places, len(raw)]
    parts = (raw[start:end] for start, end in itertools.pairwise(bounds))
    return tuple(part for part in parts if part)
