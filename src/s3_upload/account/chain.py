"""botocore's session, made to look where the AWS CLI looks.  Whoever imports this pays for botocore.

* An empty variable counts as unset, and AWS_REGION as a region.
* Roles are kept where the AWS CLI keeps them (~/.aws/cli/cache): an MFA code that was typed there is good
  here, and the other way round.
* An instance's metadata service is never asked through a proxy; it is asked again where it is late, or has
  too much to do.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from botocore.config import Config
from botocore.configprovider import BOTOCORE_DEFAUT_SESSION_VARIABLES
from botocore.exceptions import ReadTimeoutError
from botocore.httpsession import URLLib3Session
from botocore.session import Session
from botocore.utils import JSONFileCache

from s3_upload.account.profile import set_variables

if TYPE_CHECKING:
    from collections.abc import Mapping

IMDS_TIMEOUT_S = 1.0
"""botocore's own."""
IMDS_WAITS_S = (0.1, 0.3, 0.9)
"""Before each further question; botocore asks once."""
_BUSY = frozenset({429, 500, 502, 503, 504})
_CACHE = "~/.aws/cli/cache"
_CACHED = ("assume-role", "assume-role-with-web-identity")


def chain_session(
    profile: str | None, proxies: Mapping[str, str] | None, region: str | None, *, renew: bool
) -> Any:
    """A session for its chain of credentials.

    `proxies`: for STS and SSO; None for what botocore itself finds in the environment.  `region`: that of
    STS; None for what environment and profile say.  `renew`: what is kept has been refused.
    """
    session: Any = Session(session_vars=_session_variables(), profile=profile)
    if region is not None:
        session.set_config_variable("region", region)
    if proxies is not None:
        session.set_default_client_config(Config(proxies=dict(proxies)))
    chain: Any = session.get_component("credential_provider")
    folder = os.path.expanduser(_CACHE)  # noqa: PTH111 - a Path raises where nobody has a home
    if folder != _CACHE:
        for name in _CACHED:
            chain.get_provider(name).cache = SharedCache(folder, renew=renew)
    container: Any = chain.get_provider("container-role")
    if hasattr(container, "_environ"):
        container._environ = set_variables(os.environ)
    # botocore would ask the instance's metadata through HTTP_PROXY: nobody but the instance itself can, and a
    # proxy that answers for its own instance gives somebody else's account.
    fetcher: Any = getattr(chain.get_provider("iam-role"), "_role_fetcher", None)
    if fetcher is not None:
        fetcher._session = PatientSession(timeout=getattr(fetcher, "_timeout", IMDS_TIMEOUT_S), proxies={})
    return session


def _session_variables() -> dict[str, Any]:
    """What botocore reads of the environment: no variable that is empty, which it would take for a profile
    without a name; and AWS_REGION, which the AWS CLI knows and botocore does not."""
    theirs = BOTOCORE_DEFAUT_SESSION_VARIABLES
    config, _, default, convert = theirs["region"]
    known = theirs | {"region": (config, ["AWS_REGION", "AWS_DEFAULT_REGION"], default, convert)}
    changed = {}
    for name, (config, variables, default, convert) in known.items():
        names = [variables] if isinstance(variables, str) else variables or []
        kept = [variable for variable in names if os.environ.get(variable, "unset")]
        if name == "region" or kept != names:
            changed[name] = config, kept or None, default, convert
    return changed


class SharedCache(JSONFileCache):  # type: ignore[misc]
    """The AWS CLI's cache. Where nothing can be written, nothing is kept. `renew`: nothing is read of it
    until something has been written."""

    def __init__(self, folder: str, *, renew: bool) -> None:
        super().__init__(folder)
        self._renew = renew

    def __contains__(self, key: str) -> bool:
        return not self._renew and super().__contains__(key)

    def __setitem__(self, key: str, value: object) -> None:
        with suppress(OSError):
            super().__setitem__(key, value)
            self._renew = False


class PatientSession(URLLib3Session):  # type: ignore[misc]
    """Asks again where the answer is late or says that there is too much to do; not where nobody answers:
    most machines are no instance, and would wait for nothing."""

    def send(self, request: Any) -> Any:
        """As `URLLib3Session`."""
        for wait_s in IMDS_WAITS_S:
            with suppress(ReadTimeoutError):
                response: Any = super().send(request)
                if response.status_code not in _BUSY:
                    return response
            time.sleep(wait_s)
        return super().send(request)
