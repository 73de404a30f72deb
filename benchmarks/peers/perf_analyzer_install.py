"""Perf Analyzer's binary, from an old tritonclient wheel, made to run on this machine."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytriton

VERSION = "2.49.0"
"""The last whose binary runs on glibc 2.36; later ones need a newer C library."""
MEMBER = f"tritonclient-{VERSION}.data/data/bin/perf_analyzer"
LIBRARIES = {"libb64.so.0d": "libb64-*.so.0d", "libcudart.so.12": "libcudart-*.so.12*"}
"""What the binary asks for: the hashed names under which nvidia-pytriton carries them."""
DOWNLOAD_S = 300


def install(cache: Path) -> tuple[Path, Path]:
    """(binary, folder for LD_LIBRARY_PATH); downloads the wheel on the first call only."""
    home = cache / f"perf_analyzer-{VERSION}"
    binary, libraries = home / MEMBER, home / "lib"
    if not binary.exists():
        home.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(_wheel(home)) as wheel:
            wheel.extract(MEMBER, home)
        binary.chmod(0o755)
    _link_libraries(libraries)
    return binary, libraries


def _wheel(home: Path) -> Path:
    pattern = f"tritonclient-{VERSION}-*.whl"
    if not list(home.glob(pattern)):
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
        wanted = ["--no-deps", "--only-binary", ":all:", "--dest", str(home), f"tritonclient=={VERSION}"]
        subprocess.run([*pip, *wanted], check=True, timeout=DOWNLOAD_S)
    return next(home.glob(pattern))


def _link_libraries(folder: Path) -> None:
    """Made anew each time: the environment that they point into may have moved."""
    folder.mkdir(parents=True, exist_ok=True)
    carried = Path(pytriton.__file__).parents[1] / "nvidia_pytriton.libs"
    for name, pattern in LIBRARIES.items():
        found = next(carried.glob(pattern), None)
        if found is None:
            raise FileNotFoundError(f"{name} for Perf Analyzer: nothing like {pattern} in {carried}")
        link = folder / name
        link.unlink(missing_ok=True)
        link.symlink_to(found)
