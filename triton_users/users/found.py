"""Whether locustfiles have defined anything that Locust can run."""

from __future__ import annotations

from locust import User


def users_found(base: type[User] = User) -> bool:
    """A class derived from ``base`` that is not abstract, wherever in this process it was defined."""
    return any(not cls.abstract or users_found(cls) for cls in base.__subclasses__())
