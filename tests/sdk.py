"""SDK clients behind our adapters, as a user would set them up."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, TypeVar

import aiobotocore.session
import boto3
from botocore.config import Config

from s3_upload.adapters import aiobotocore_client, boto3_client

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from s3_upload.transfer.client import Client

T = TypeVar("T")


def arguments(
    endpoint_url: str, access_key: str = "key", secret_key: str = "secret", **config: Any
) -> dict[str, Any]:
    config = {"retries": {"total_max_attempts": 1}, "s3": {"addressing_style": "path"}, **config}
    return {
        "service_name": "s3",
        "endpoint_url": endpoint_url,
        "region_name": "us-east-1",
        "aws_access_key_id": access_key,
        "aws_secret_access_key": secret_key,
        "config": Config(**config),
    }


def with_client(sdk: str, use: Callable[[Client], Awaitable[T]], **given: Any) -> T:
    """What `use` makes of an adapter's client."""
    verify = given.pop("verify", None)

    async def main() -> T:
        async with AsyncExitStack() as stack:
            if sdk == "boto3":
                real = boto3.client(**arguments(**given), verify=verify)
                stack.callback(real.close)
                return await use(boto3_client(real))
            create = aiobotocore.session.get_session().create_client
            return await use(
                aiobotocore_client(
                    await stack.enter_async_context(create(**arguments(**given), verify=verify))
                )
            )

    return asyncio.run(main())
