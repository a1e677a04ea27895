"""What is known of an executor (`concurrent.futures`, Dask's, Ray's, ...), and what may be sent to it."""

from __future__ import annotations

import os
import pickle
from collections.abc import Mapping
from concurrent.futures import Executor
from inspect import iscoroutine

from s3_upload.errors import ConfigError
from s3_upload.fleet.wire import Begin

CANNOT_TRAVEL = (pickle.PicklingError, TypeError, AttributeError)
"""What pickle raises of what it cannot pack."""


def unsent(order: Begin) -> str:
    """What of it cannot be packed; "" where all can."""
    arguments = {f"the client's {name}": value for name, value in order.recipe.items()}
    for name, value in {"default_request": order.default_request, **arguments}.items():
        try:
            pickle.dumps(value)
        except Exception:
            return name
    return ""


def cannot_travel(what: str, error: Exception) -> ConfigError:
    """What says that `what` is not taken, and what to do."""
    remedy = (
        "leave it out" if what.startswith("the client") else "make default_request a function of a module"
    )
    return ConfigError(f"executor: {what} cannot be sent to its workers ({error}): {remedy}")


def is_closed(executor: Executor) -> bool:
    """Whether it is Dask's, and no future of it ends any more."""
    return getattr(getattr(executor, "_client", None), "status", "") == "closed"


def slots_of(executor: Executor, wanted: int) -> int:
    """How many tasks it does at a time, as far as is known; `wanted`: 0, or what the caller says. Blocks
    where a scheduler is asked."""
    if wanted:
        return wanted
    known = getattr(executor, "_max_workers", 0)
    client = getattr(executor, "_client", None)
    if client is not None and hasattr(client, "nthreads"):  # Dask's
        answer = client.nthreads()
        if iscoroutine(answer):  # of one that is asynchronous: only its own loop can wait for it
            answer.close()
        else:
            known = sum(answer.values())
    return int(known) or os.cpu_count() or 1


def refuse_secrets(name: str, recipe: Mapping[str, object]) -> None:
    """Raises `ConfigError`, which calls the executor `name`, where what makes a client has what must not
    travel."""
    proxy = recipe.get("proxy")
    has_password = isinstance(proxy, str) and "@" in proxy
    if has_password or recipe.get("credentials") is not None:
        what = "the proxy's password does" if has_password else "credentials do"
        raise ConfigError(
            f"{name}: {what} not travel to its workers: leave it out, and let each worker look up its own "
            "(the environment, a profile, its machine's role)"
        )
