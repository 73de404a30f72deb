"""The Triton that the `embedded` extra brings: where its parts lie, and whether it can run here."""

from __future__ import annotations

import importlib.util
import os
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

INSTALL = (
    "make setup (or pip install '.[embedded]') in the checkout brings one on Linux x86-64 or aarch64 with "
    "Python 3.11 or 3.12"
)
OWN = "or give -H HOST:8001 for a Triton of your own"


class ServerError(RuntimeError):
    """The server could not be started, did not become ready, or has died. The message says which, and why."""


@dataclass(frozen=True, slots=True)
class Installation:
    """The parts of an installed Triton that a server is put together from."""

    binary: Path
    python_backend: Path
    stub: Path
    caches: Path
    library_path: tuple[Path, ...]

    def environment(self) -> dict[str, str]:
        """The environment for the server: ours, plus what lets a stub find Python, numpy and onnxruntime.

        The stubs embed a Python that finds its virtual environment as the interpreter itself would, through
        the `python3` that is first on PATH; some builds of them look at PYTHONPATH, others ignore it.
        """
        env = dict(os.environ)
        site = dict.fromkeys(sysconfig.get_path(name) for name in ("purelib", "platlib"))
        env["PATH"] = _joined([str(Path(sys.executable).parent), env.get("PATH", os.defpath)])
        env["PYTHONPATH"] = _joined([*site, env.get("PYTHONPATH", "")])
        env["LD_LIBRARY_PATH"] = _joined([*map(str, self.library_path), env.get("LD_LIBRARY_PATH", "")])
        return env


def available() -> str | None:
    """None where an embedded Triton can run, else one sentence that says why not and names both ways on."""
    found = _find()
    return None if isinstance(found, Installation) else f"no embedded Triton here, {found}, {OWN}"


def installation() -> Installation:
    """The installed Triton. Raises ServerError with `available`'s sentence where there is none."""
    found = _find()
    if isinstance(found, Installation):
        return found
    raise ServerError(available())


def _find() -> Installation | str:
    """The installation, or why there is none and what brings one (a part of a sentence)."""
    if sys.platform != "linux":
        return f"since Triton's servers are for Linux: {INSTALL}"
    # find_spec does not import the package: that would cost a second and pull in its own server.
    spec = importlib.util.find_spec("pytriton")
    if spec is None or not spec.submodule_search_locations:
        return f"since nvidia-pytriton is not installed: {INSTALL}"
    package = Path(spec.submodule_search_locations[0])
    server = package / "tritonserver"
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    library = sysconfig.get_config_var("INSTSONAME") or ""
    libdir = next((path for path in _library_folders() if (path / library).is_file()), None)
    if libdir is None or ".so" not in library:
        return (
            f"since Triton's Python backend needs libpython{version}.so, which Debian and Ubuntu pack apart "
            "from Python: apt install libpython3-dev brings it"
        )
    found = Installation(
        binary=server / "bin" / "tritonserver",
        python_backend=server / "backends" / "python",
        stub=server / "python_backend_stubs" / version / "triton_python_backend_stub",
        caches=server / "caches",
        library_path=(libdir, package.parent / "nvidia_pytriton.libs"),
    )
    missing = [
        path for path in (found.binary, found.python_backend, found.stub, found.caches) if not path.exists()
    ]
    if missing:
        return f"since nvidia-pytriton lacks {missing[0].relative_to(package)}: {INSTALL}"
    return found


def _library_folders() -> Iterator[Path]:
    """Where this Python's own shared library may lie, the likeliest first."""
    multiarch = sysconfig.get_config_var("MULTIARCH") or ""
    libdir = Path(sysconfig.get_config_var("LIBDIR") or "/usr/lib")
    yield libdir
    yield Path(sys.base_prefix) / "lib"  # a Python that was moved after it was built
    yield libdir / multiarch
    yield Path("/usr/lib") / multiarch


def _joined(paths: list[str]) -> str:
    return os.pathsep.join(path for path in paths if path)
