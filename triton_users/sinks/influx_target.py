"""Where a run is written: address, bucket, and where the token comes from, which nothing ever shows."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from triton_users.units import NS_PER_S

TOKEN_VARIABLE = "INFLUXDB_TOKEN"
DRAIN_NS = 30 * NS_PER_S


class TargetError(Exception):
    """The token cannot be read or used; the message says what to do."""


@dataclass(frozen=True, slots=True)
class InfluxTarget:
    """``org`` is what InfluxDB 2 asks for; 1.8 takes DATABASE/RETENTION as the bucket and ignores it.
    ``drain_ns``: how long the end of a run waits for what is not written yet."""

    url: str
    bucket: str
    org: str = ""
    token_file: str | None = None
    drain_ns: int = DRAIN_NS

    def token(self, environment: Mapping[str, str] = os.environ) -> str | None:
        """The token file's text, else that of the environment; None for a database that wants none.

        Raises TargetError.
        """
        if self.token_file is None:
            text = environment.get(TOKEN_VARIABLE, "").strip()
            return _checked(text, TOKEN_VARIABLE) if text else None
        try:
            # An editor may have put a byte order mark in front.
            text = Path(self.token_file).read_text(encoding="utf-8-sig").strip()
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "not text"
            raise TargetError(
                f"cannot read the token in {self.token_file}: {reason.lower()}; "
                f"give a readable file by --influx-token-file, or set {TOKEN_VARIABLE}"
            ) from error
        return _checked(text, self.token_file)

    def arguments(self) -> list[str]:
        """The options of ``feed`` and ``replay``; the token is not among them."""
        found = ["--influx-url", self.url, "--influx-bucket", self.bucket]
        if self.org:
            found += ["--influx-org", self.org]
        if self.token_file is not None:
            found += ["--influx-token-file", self.token_file]
        if self.drain_ns != DRAIN_NS:
            found += ["--influx-drain", f"{self.drain_ns / NS_PER_S:g}s"]
        return found

    def replay_command(self, folder: Path | str) -> str:
        """What to type to write a results folder later."""
        return shlex.join(["python", "-m", "triton_users", "replay", str(folder), *self.arguments()])


def _checked(token: str, source: str) -> str:
    """``token`` if a header can carry it. Raises TargetError, which does not show it."""
    if not (token and token.isascii() and token.isprintable()):
        raise TargetError(f"{source} must hold one line of ASCII characters, the token, and nothing else")
    return token
