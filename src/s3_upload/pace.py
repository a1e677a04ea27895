"""`Pace`: a handle on how much of the link a run takes, and what it says of it."""

from __future__ import annotations

from typing import Literal, get_args

from s3_upload.errors import ConfigError
from s3_upload.report import PaceReport
from s3_upload.units import Bandwidth, parse_bandwidth

Share = Literal["full", "fair", "background"]


class Pace:
    """Give one to `s3_upload_files` to change `max_bandwidth` while it runs, or to watch.

    `share`: see `UploadConfig.share`.  `max_bandwidth`: "20MB/s", "100Mbit/s", "80%" (of what the link turns
    out to carry: exceeded while that is measured, see `UploadConfig`), or "" for no bound; raises
    `ConfigError` for anything else.  `latest`: the newest `PaceReport`, None before the first.
    """

    def __init__(self, share: Share = "full", max_bandwidth: str = "") -> None:
        if share not in get_args(Share):
            raise ConfigError(f"share = {share!r}: must be 'full' or 'fair' or 'background'")
        self.share = share
        self.limit(max_bandwidth)
        self.latest: PaceReport | None = None

    def __repr__(self) -> str:
        return f"<Pace {self.share} max_bandwidth={self._text or None}>"

    def tell(self, report: PaceReport) -> None:
        """`report` is the latest."""
        self.latest = report

    @property
    def max_bandwidth(self) -> str:
        return self._text

    @max_bandwidth.setter
    def max_bandwidth(self, text: str) -> None:
        self.limit(text)

    def limit(self, text: str) -> None:
        """The same as `max_bandwidth = text`."""
        if not isinstance(text, str):
            raise ConfigError(
                f"max_bandwidth = {text!r}: must be a text such as '20MB/s', or '' for no bound"
            )
        try:
            self.bandwidth: Bandwidth | None = parse_bandwidth(text)
        except ValueError as error:
            raise ConfigError(f"max_bandwidth = {text!r}: {error}") from None
        self._text = text
