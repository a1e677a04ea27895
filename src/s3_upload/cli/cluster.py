"""`--cluster`: the workers of a Dask cluster, which runs somewhere or is begun here."""

from __future__ import annotations

import logging
import re
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING

from s3_upload.cli.output import UsageError
from s3_upload.errors import ConfigError
from s3_upload.fleet.processes import MAX_PROCESSES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Executor

_LOCAL = re.compile(r"local:(\d{1,3})")
CONNECT_S = 10.0


def check_address(address: str) -> None:
    """Raises `UsageError` for what can be no cluster, and where there is no Dask."""
    if find_spec("distributed") is None:
        raise UsageError("--cluster: needs Dask: pip install distributed")
    local = _LOCAL.fullmatch(address)
    if address.startswith("local:") and (local is None or not 1 <= int(local[1]) <= MAX_PROCESSES):
        raise UsageError(f"--cluster {address}: must be local:N, N from 1 to {MAX_PROCESSES}, or an address")


@contextmanager
def executor_of(address: str) -> Iterator[Executor]:
    """That of the cluster at `address` ("tcp://HOST:8786", or "local:4" for four processes of this machine),
    until the block is left.  Raises `UsageError` and `ConfigError`."""
    check_address(address)
    from distributed import Client, LocalCluster

    # What its processes do at their end is nothing that a user of ours can do anything about.
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    with ExitStack() as stack:
        local = _LOCAL.fullmatch(address)
        try:
            if local is not None:
                cluster = LocalCluster(
                    n_workers=int(local[1]), threads_per_worker=1, host="127.0.0.1", dashboard_address=None,
                    silence_logs=logging.CRITICAL,
                )  # fmt: skip
                address = stack.enter_context(cluster).scheduler_address
            client = stack.enter_context(Client(address, timeout=CONNECT_S, set_as_default=False))
        except (OSError, ValueError) as error:
            reason = str(error) or type(error).__name__
            raise ConfigError(f"--cluster {address}: no scheduler answers: {reason}") from None
        if not client.nthreads():
            raise ConfigError(
                f"--cluster {address}: there are no workers: begin some (dask worker {address})"
            )
        yield client.get_executor()
