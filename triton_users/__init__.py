"""Load testing for Triton Inference Server on Locust: derive a class from TritonUser in a locustfile."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from triton_users.users import TritonUser

__all__ = ["TritonUser"]


def __getattr__(name: str) -> Any:
    """Locust and our listeners come with the first user class, so that the rest works without Locust."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from triton_users import plugin, users  # noqa: PLC0415 - see above

    plugin.register()
    return getattr(users, name)
