"""Fixtures for all tests: a store, the fault server, and an environment without the developer's own."""

from __future__ import annotations

import gc
import os
import signal
import ssl
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import hypothesis
import pytest
import trustme

from s3_upload import own_process
from s3_upload.embedded import EmbeddedStore
from tests.faults.server import FaultServer
from tests.store import Store, running_store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Any

# A shell without job control has what it starts in the background (`nohup make test &`) ignore SIGINT, and so
# does all that tests start: a command that is sent one would go on for ever.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

hypothesis.settings.register_profile("no deadline", deadline=None)  # a busy machine is no failure
hypothesis.settings.load_profile("no deadline")

# As the command does: what threads leave in heaps of their own adds up to gigabytes.
own_process.share_one_heap()


def pytest_collection_finish() -> None:
    """The tests themselves, millions of objects, are there to the end.  The collector would look through them
    each time, and for that reason come seldom, while whole stores and their bodies are left in circles."""
    gc.collect()
    gc.freeze()
    gc.collect()  # which counts anew what there is: nothing, or it would come as seldom as before


_FOREIGN = ("AWS_", "S3_UPLOAD_", "RCLONE_", "REQUESTS_CA_BUNDLE", "SSL_CERT_")
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "request_method")


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """An S3-like store: the one that runs on this machine for tests, else an embedded one.

    Session-scoped, so it is set up outside `clean_environment` and sees the real profile.
    """
    found = running_store()
    if found is not None:
        yield found
        found.close()
        return
    with EmbeddedStore(tmp_path_factory.mktemp("store")) as embedded:
        made = Store(embedded.endpoint_url, embedded.access_key, embedded.secret_key, embedded=True)
        yield made
        made.close()


@pytest.fixture
def bucket(store: Store) -> str:
    """The name of a new, empty bucket in `store`."""
    return store.new_bucket()


class StartFaultServer(Protocol):
    """Starts a `FaultServer` with the given script and options; the fixture stops it."""

    def __call__(self, script: Any = None, **options: Any) -> FaultServer: ...


@contextmanager
def fault_servers() -> Iterator[StartFaultServer]:
    with ExitStack() as stack:

        def start(script: Any = None, **options: Any) -> FaultServer:
            server = FaultServer(script, **options)
            stack.callback(server.forget)  # after its end
            return stack.enter_context(server)

        yield start


@pytest.fixture
def fault_server() -> Iterator[StartFaultServer]:
    with fault_servers() as start:
        yield start


@dataclass(frozen=True)
class Tls:
    """A certificate authority that only the tests trust, and a server-side context signed by it."""

    server_context: ssl.SSLContext
    ca_file: Path


@pytest.fixture(scope="session")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    names = ("127.0.0.1", "localhost", "*.localhost", "store.internal")
    authority.issue_cert(*names).configure_cert(context)
    ca_file = tmp_path_factory.mktemp("tls") / "ca.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    return Tls(context, ca_file)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No test sees the developer's settings, credentials or proxies, nor asks a metadata server; nor does it
    matter that CI runs them, of which the command shows less.  How the collector and the C library are set
    stays the tests' own: what one command freezes, or does not give back, would be kept for all to come."""
    for setting in ("collect_rarely", "keep_freed_memory"):
        monkeypatch.setattr(own_process, setting, lambda: None)
    for name in os.environ:
        if name.startswith(_FOREIGN) or name.lower() in _PROXIES or name == "CI":
            monkeypatch.delenv(name)
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / ".config"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / ".cache"))
    monkeypatch.setenv("XDG_STATE_HOME", str(home / ".state"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(home / ".aws" / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(home / ".aws" / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
