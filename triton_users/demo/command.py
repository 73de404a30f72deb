"""``python -m triton_users models``: build a model repository of demo models."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from triton_users.demo.catalogue import MODELS
from triton_users.demo.repository import build, default_root


def main(arguments: Sequence[str]) -> int:
    """Prints the repository's path, for ``tritonserver --model-repository``."""
    parser = argparse.ArgumentParser(
        prog="python -m triton_users models", description="Build the demo models.", allow_abbrev=False
    )
    parser.add_argument("names", nargs="*", metavar="MODEL", help=f"of {', '.join(MODELS)} (default: all)")
    parser.add_argument("--folder", type=Path, default=default_root(), help="where to (default: %(default)s)")
    options = parser.parse_args(arguments)
    try:
        print(build(options.folder, options.names or MODELS))
    except (ValueError, OSError) as error:
        print(f"triton-users: {error}", file=sys.stderr)
        return 2
    return 0
