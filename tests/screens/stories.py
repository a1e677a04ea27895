"""Runs as people meet them, each a script that keeps what the terminal shows at some moments."""

from __future__ import annotations

from collections.abc import Callable

from s3_upload.observe.limits import ANSWERS, AWAY, CAP, CPU, LINK, OTHERS, THROTTLED
from s3_upload.observe.status import Comparing, Total
from s3_upload.screen.frame import ASCII, Title
from s3_upload.screen.log import Schedule, log_line
from s3_upload.screen.words import interrupted
from tests.screens.stage import FRAME_S, Stage

Story = Callable[[int], Stage]
MB = 10**6
SMALL = 19_000
MODELS = [(n - 5, f"run-42/model-0000{n}-of-00004.safetensors", 500 * MB) for n in (1, 2, 3, 4)]
CHECKPOINT = Title("ckpt", "s3://bkt/run-42")
MANY = Title("many", "s3://bkt/many", "10.0.0.7:9000")


def many_small_files(columns: int) -> Stage:
    stage = Stage(columns, MANY)
    stage.limited(CPU, 48)

    def goes_on(now: float) -> None:
        stage.stored(SMALL, 204)
        if now < 1.0:
            stage.total = Total(files=int(12_000 * now), bytes=int(12_000 * now) * SMALL)
        else:
            stage.total = Total(files=30_005, bytes=573 * MB, complete=True, estimated=True)

    stage.until(FRAME_S, goes_on)
    stage.shot("0:00, the first frame")
    stage.until(0.6)
    stage.shot("0:00.6, still counting")
    stage.until(3.0)
    stage.shot("0:03")
    stage.until(11.0)
    stage.stored(SMALL, 3, attempts=2)
    stage.failed("many/010/dang0", "the link leads to nothing")
    stage.until(12.0)
    stage.shot("0:12, one has failed, three were tried again")
    return stage


def four_big_files(columns: int) -> Stage:
    stage = Stage(columns, CHECKPOINT)
    stage.total = Total(files=4, bytes=2000 * MB, complete=True)
    stage.limited(LINK, 24)
    arrived = dict.fromkeys((seq for seq, _, _ in MODELS), 0.0)

    def goes_on(now: float) -> None:
        for number, (seq, key, size) in enumerate(MODELS):
            if seq in arrived:
                arrived[seq] = min(size, arrived[seq] + (29 - 2.5 * number) * MB * FRAME_S)
                stage.sent(seq, key, arrived[seq], size)
                if arrived[seq] == size:
                    del arrived[seq]
                    stage.stored_big(seq, size)

    stage.until(0.4, goes_on)
    stage.shot("0:00.4")
    stage.until(10.0)
    stage.shot("0:10")
    stage.until(18.0)
    stage.shot("0:18, one is done")
    return stage


def failures(columns: int) -> Stage:
    stage = Stage(columns)
    stage.total = Total(files=3_801, bytes=2150 * MB, complete=True)
    stage.limited(LINK, 24)

    def goes_on(now: float) -> None:
        stage.stored(565_000, 10)

    stage.until(10.0, goes_on)
    stage.failed("photos/old/link", "the link leads to nothing")
    stage.until(12.0)
    stage.failed("photos/private/letter.txt", "Permission denied", 4_000)
    stage.failed("photos/\x1b[31mred\nname", "changed while it was read", 500_000)
    stage.until(13.0)
    stage.stored(565_000, attempts=3)
    stage.until(20.0)
    stage.failed(
        "photos/写真/2024年の夏休み/海へ行った日のとても長い名前の写真.jpg", "Permission denied", 3 * MB
    )
    stage.until(21.0)
    stage.shot("0:21")
    return stage


def throttled(columns: int) -> Stage:
    stage = Stage(columns, MANY)
    stage.total = Total(files=30_005, bytes=573 * MB, complete=True, estimated=True)
    stage.limited(CPU, 48)
    stage.until(4.0, lambda now: stage.stored(SMALL, 204))
    stage.limited(THROTTLED, 12, accepted_per_s=312.0)
    stage.stored(SMALL, 812, attempts=2)
    stage.until(12.0, lambda now: stage.stored(SMALL, 62))
    stage.shot("0:12")
    return stage


def yielding(columns: int) -> Stage:
    stage = Stage(columns, CHECKPOINT, notes={CAP: "held at 20 MB/s by --max-bandwidth"})
    stage.total = Total(files=4, bytes=2000 * MB, complete=True)
    stage.limited(CAP, 8)
    arrived = 0.0

    def goes_on(now: float) -> None:
        nonlocal arrived
        arrived += (20.0 if now < 15.0 else 1.3) * MB * FRAME_S
        for seq, key, size in MODELS:
            stage.sent(seq, key, arrived / 4, size)

    stage.until(15.0, goes_on)
    stage.shot("0:15, held by a cap")
    stage.limited(OTHERS, 4)
    stage.until(24.0)
    stage.shot("0:24, others use the link")
    return stage


def outage(columns: int) -> Stage:
    stage = Stage(columns)
    stage.total = Total(files=3_801, bytes=2150 * MB, complete=True)
    stage.limited(ANSWERS, 24)
    stage.until(10.0, lambda now: stage.stored(565_000, 10))
    stage.until(13.0, lambda now: None)
    stage.note("s3-upload: http://minio.local:9000 does not answer: waiting for it, for 1 h at most")
    stage.limited(AWAY, 0)
    stage.away(10.2, 14.0, "connection refused")
    stage.until(14.0)
    stage.away(10.2, 18.0, "connection refused")
    stage.until(15.0)
    stage.shot("0:15, the store is away")
    stage.until(22.0)
    stage.away(10.2, 142.0, "connection refused")
    stage.until(140.0)
    stage.shot("2:20, it still is")
    stage.back(10.2)
    stage.note("s3-upload: http://minio.local:9000 answers again after 130 s")
    stage.limited(ANSWERS, 8)
    stage.until(146.0, lambda now: stage.stored(565_000, 10))
    stage.shot("2:26, it is back")
    return stage


def ctrl_c(columns: int) -> Stage:
    stage = four_big_files(columns)
    stage.terminal.write("^C")
    stage.until(18.4)
    stage.note("s3-upload: stopping: what is half sent is dropped (again: at once)")
    stage.shots.clear()
    stage.shot("0:18, at once")
    stage.end(f"s3-upload: {interrupted(stage.status())}")
    stage.shot("0:19, the end")
    return stage


def comparing(columns: int) -> Stage:
    stage = Stage(columns, MANY)
    stage.limited("", 0)

    def goes_on(now: float) -> None:
        stage.compared = Comparing(int(20_000 * now), int(500 * MB * now))

    stage.until(5.0, goes_on)
    stage.shot("0:05, all that was compared is as it was")
    stage.stored(SMALL, 3)
    stage.until(5.0 + FRAME_S)
    stage.shot("three are not, and go up")
    return stage


def stdin(columns: int) -> Stage:
    stage = Stage(columns, Title("stdin", "s3://bkt/photos.tar"))
    stage.limited(LINK, 8)
    stage.until(11.0, lambda now: stage.sent(-1, "photos.tar", now * 19.8 * MB, None))
    stage.shot("0:11")
    return stage


def plain_characters(columns: int) -> Stage:
    """In a locale that has no others."""
    stage = Stage(columns, CHECKPOINT, glyphs=ASCII)
    stage.total = Total(files=4, bytes=2000 * MB, complete=True)
    stage.limited(LINK, 24)

    def goes_on(now: float) -> None:
        for number, (seq, key, size) in enumerate(MODELS):
            stage.sent(seq, key, (29 - 2.5 * number) * MB * now, size)

    stage.until(10.0, goes_on)
    stage.shot("0:10")
    return stage


def plain_log(columns: int) -> Stage:
    """What stands in a log, whatever its width."""
    stage = Stage(columns, MANY)
    schedule = Schedule()
    stage.limited(CPU, 48)
    while stage.now < 180.0:
        stage.now += FRAME_S
        stage.stored(SMALL, 20)
        if stage.now > 20.0:
            stage.total = Total(files=30_005, bytes=573 * MB, complete=True, estimated=stage.now < 100.0)
        elif stage.now > 5.0:
            stage.total = Total(files=int(1_800 * stage.now), bytes=int(1_800 * stage.now) * SMALL)
        if 120.0 < stage.now <= 120.2:
            stage.failed("many/010/dang0", "the link leads to nothing")
        status = stage.status()
        if status.elapsed_s >= schedule.due_s:
            schedule.told(status.elapsed_s)
            stage.end(f"s3-upload: {log_line(status)}")
        if 150.0 < stage.now <= 150.2:
            stage.away(147.0, 400.0, "connection refused")
    stage.shot("three minutes")
    return stage


STORIES: dict[str, Story] = {
    "many-small-files": many_small_files,
    "four-big-files": four_big_files,
    "failures": failures,
    "throttled": throttled,
    "yielding": yielding,
    "outage": outage,
    "ctrl-c": ctrl_c,
    "comparing": comparing,
    "stdin": stdin,
    "plain-characters": plain_characters,
    "plain-log": plain_log,
}
WIDTHS = dict.fromkeys(STORIES, (80, 140)) | {"many-small-files": (40, 80, 140), "plain-log": (140,)}
WIDTHS["four-big-files"] = (40, 80, 140)
