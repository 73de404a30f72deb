"""Builds a model repository of demo models, once for each content."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from triton_users.demo.catalogue import MODELS, SOURCES, DemoModel

Parameters = Mapping[str, Mapping[str, str]]


def default_root() -> Path:
    """Where built repositories are kept: triton-users/models in the user's cache folder."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "triton-users" / "models"


def build(root: Path, names: Iterable[str], parameters: Parameters | None = None) -> Path:
    """A model repository with the demo models ``names``, in a folder of ``root`` named after its content.

    ``parameters`` are config.pbtxt parameters by model. What is already there is used as it is; a new one
    appears whole or not at all, so that several programs may build at once.
    Raises ValueError for a name that there is no model of, OSError where ``root`` cannot be written.
    """
    chosen = sorted(set(names))
    unknown = [name for name in chosen if name not in MODELS]
    if unknown:
        raise ValueError(f"no demo model {', '.join(unknown)}; there are {', '.join(MODELS)}")
    parameters = parameters or {}
    repository = root / _digest(chosen, parameters)
    if repository.is_dir():
        return repository
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".new-", dir=root) as folder:
        new = Path(folder) / "repository"
        for name in chosen:
            _write_model(new / name, name, MODELS[name], parameters.get(name, {}))
        try:
            new.rename(repository)
        except OSError:
            if not repository.is_dir():  # else another program was quicker: its content is the same
                raise
    return repository


def _digest(names: list[str], parameters: Parameters) -> str:
    """Of everything that the repository's content depends on."""
    digest = hashlib.sha256()
    for name in names:
        digest.update(repr((name, MODELS[name].replace, sorted(parameters.get(name, {}).items()))).encode())
        for source in _sources(MODELS[name]):
            digest.update(source.read_bytes())
    for builder in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(builder.read_bytes())
    return digest.hexdigest()[:16]


def _sources(model: DemoModel) -> tuple[Path, Path]:
    """Its code and its configuration."""
    return SOURCES / f"{model.source}.py", SOURCES / f"{model.source}.pbtxt"


def _write_model(target: Path, name: str, model: DemoModel, parameters: Mapping[str, str]) -> None:
    code, config = _sources(model)
    (target / "1").mkdir(parents=True)
    shutil.copyfile(code, target / "1" / "model.py")
    text = f'name: "{name}"\n{config.read_text()}'
    for key, value in model.replace.items():
        text = text.replace(f"@{key}@", value)
    text += "".join(
        f'parameters {{ key: "{_quoted(key)}" value: {{ string_value: "{_quoted(value)}" }} }}\n'
        for key, value in parameters.items()
    )
    (target / "config.pbtxt").write_text(text)
    for path, write in model.generated.items():
        write(target / path)


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
