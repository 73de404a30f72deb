"""The demo models: real model repositories for Triton, built where they are needed."""

from triton_users.demo.catalogue import MODELS
from triton_users.demo.repository import build, default_root

__all__ = ["MODELS", "build", "default_root"]
