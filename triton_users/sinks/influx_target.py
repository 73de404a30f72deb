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
    """The token cannot be read; the message says what to do."""


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
            return environment.get(TOKEN_VARIABLE, "").strip() or None
        try:
            text = Path(self.token_file).read_text(encoding="utf-8").strip()
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "not text"
            raise TargetError(
                f"cannot read the token in {self.token_file}: {reason.lower()}; "
                f"give a readable file by --influx-token-file, or set {TOKEN_VARIABLE}"
            ) from error
        if not text or any(char in text for char in "\r\n\0"):
            raise TargetError(f"{self.token_file} must hold one line, the token")
        return text

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
