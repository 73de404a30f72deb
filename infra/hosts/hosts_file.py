"""The hosts file: one host per line, all faults named at once."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path

LINE = re.compile(
    r"(?:(?P<user>[^@\s:\[\]]+)@)?(?:\[(?P<six>[0-9a-fA-F:.%\w]+)\]|(?P<name>[^@\s:\[\]]+))(?::(?P<port>\d+))?"
)
"""``[user@]host[:port]``; an IPv6 address stands in brackets."""

SETTINGS = ("workers", "python", "venv")
ADVICE = "write [user@]host[:port] [workers=N] [python=PATH | venv=FOLDER]"


class HostsError(Exception):
    """The hosts file cannot be used; the message says what to do, a line for each fault."""


@dataclass(frozen=True, slots=True)
class Host:
    """One machine. ``python`` is the interpreter there that has the package."""

    name: str
    user: str | None
    port: int | None
    workers: int
    python: str

    @property
    def label(self) -> str:
        """What its lines are marked with: as it stands in the file."""
        host = f"[{self.name}]" if ":" in self.name else self.name
        return host if self.port is None else f"{host}:{self.port}"

    @property
    def file_name(self) -> str:
        """The label without what a file's name may not have."""
        return re.sub(r"[^\w.-]+", "_", self.label).strip("_")

    @property
    def is_loopback(self) -> bool:
        return is_loopback(self.name)


def is_loopback(name: str) -> bool:
    """Whether the name means the machine itself, wherever it is said."""
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"


def read(path: Path, workers: int, python: str) -> list[Host]:
    """The hosts, in the file's order; ``workers`` and ``python`` where a line has none. Raises HostsError."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not text"
        raise HostsError(f"cannot read {path}: {reason.lower()}; see infra/hosts/hosts.example") from error
    hosts: list[Host] = []
    faults: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split("#")[0].split()
        if not words:
            continue
        try:
            host = _host(words, workers, python)
            if any(host.label == other.label for other in hosts):
                raise ValueError(f"{host.label} is there twice: give it workers=N instead")
            hosts.append(host)
        except ValueError as error:
            faults.append(f"{path}:{number}: {error}")
    if not hosts and not faults:
        faults.append(f"{path} has no host; {ADVICE}, one per line")
    if faults:
        raise HostsError("\n".join(faults))
    return hosts


def _host(words: list[str], workers: int, python: str) -> Host:
    """Raises ValueError."""
    found = LINE.fullmatch(words[0])
    name = found and (found["six"] or found["name"])
    if found is None or name is None or words[0].startswith("-") or name.startswith("-"):
        raise ValueError(f"{words[0]!r} is no host; {ADVICE}")
    port = None if found["port"] is None else int(found["port"])
    if port is not None and not 0 < port < 65536:
        raise ValueError(f"there is no port {port}")
    settings: dict[str, str] = {}
    for word in words[1:]:
        key, equals, value = word.partition("=")
        if key not in SETTINGS or not equals or not value:
            raise ValueError(f"{word!r} is not understood; {ADVICE}")
        settings[key] = value
    if "python" in settings and "venv" in settings:
        raise ValueError("python= and venv= say the same thing: give one")
    if "venv" in settings:
        python = in_venv(settings["venv"])
    count = settings.get("workers", str(workers))
    if not count.isdecimal() or not 0 < int(count) <= 1024:
        raise ValueError(f"workers={count} is no number of workers from 1 to 1024")
    return Host(name, found["user"], port, int(count), settings.get("python", python))


def in_venv(folder: str) -> str:
    """The interpreter of a virtual environment."""
    return f"{folder.rstrip('/')}/bin/python"
