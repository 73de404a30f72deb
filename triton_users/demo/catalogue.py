"""The demo models: which there are, and what each is made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from triton_users.demo import espcn

SOURCES = Path(__file__).parent / "models"


@dataclass(frozen=True, slots=True)
class DemoModel:
    """A pair of `models/`, ``source``.py and .pbtxt, with each ``@KEY@`` in its configuration replaced.

    ``generated`` maps a path inside the built model's folder to the function that writes it.
    """

    source: str
    replace: dict[str, str] = field(default_factory=dict)
    generated: dict[str, Callable[[Path], None]] = field(default_factory=dict)


MODELS = {
    "espcn": DemoModel("espcn", generated={"1/model.onnx": espcn.write_onnx}),
    "identity": DemoModel("identity", {"LENGTH": "-1"}),
    "identity_16": DemoModel("identity", {"LENGTH": "16"}),
    "fixed_time": DemoModel("fixed_time", {"INSTANCES": "1"}),
    "recording": DemoModel(
        "fixed_time", {"INSTANCES": "4"}
    ),  # one alone would queue, and so bend what it records
    "types": DemoModel("types"),
    "failing": DemoModel("failing"),
}
