"""The Locust User classes that a locustfile derives from."""

from triton_users.users.found import users_found
from triton_users.users.triton_user import TritonUser

__all__ = ["TritonUser", "users_found"]
