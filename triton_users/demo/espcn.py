"""The super-resolution model: ESPCN's layers with weights that are worked out, not trained.

The network has ESPCN's size (5×5×64, 3×3×64, 3×3×32, 3×3×9, then nine channels shuffled into a picture three
times as large), so that it costs what such a network costs: 3 billion multiplications a picture. The weights
make it an exact bicubic enlargement, so that its answers can be checked:

1. convolution: one channel for each of the 25 pixels around a pixel (a shifted copy of the picture);
2. convolution: hands them on;
3. convolution: the nine bicubic phase filters, one for each pixel of the 3×3 that a pixel becomes;
4. convolution: puts signs back together.

The activations are ReLU, which forgets negative values; so each value v is carried as the two channels
max(v, 0) and max(-v, 0), whose difference is v again. Beyond its edges a picture repeats them.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from triton_users.demo import onnx_file

SIZE = 224
SCALE = 3
REACH = 2
"""Pixels that the bicubic kernel reaches to each side."""

Weights = NDArray[np.float32]


def cubic(distance: float) -> float:
    """Keys' cubic convolution kernel at a distance in pixels, a = -1/2 (IEEE ASSP 29, 1981, eq. 15)."""
    x = abs(distance)
    if x < 1:
        return 1.5 * x**3 - 2.5 * x**2 + 1
    if x < 2:
        return -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return 0.0


def phase_filters() -> NDArray[np.float64]:
    """[9, 5, 5]: for sub-pixel (row i, column j) at 3i + j, the weights of the 25 pixels around."""
    one = np.array(
        [[cubic(tap - (phase - 1) / SCALE) for tap in range(-REACH, REACH + 1)] for phase in range(SCALE)]
    )
    both: NDArray[np.float64] = one[:, None, :, None] * one[None, :, None, :]
    return np.reshape(both, (SCALE * SCALE, 2 * REACH + 1, 2 * REACH + 1))


def weights() -> list[Weights]:
    """The four convolutions' weights, [out, in, rows, columns] each. Channels not needed carry nothing."""
    side, taps, phases = 2 * REACH + 1, (2 * REACH + 1) ** 2, SCALE * SCALE
    shift = np.zeros((64, 1, side, side), np.float32)
    carry = np.zeros((64, 64, 3, 3), np.float32)
    filters = np.zeros((32, 64, 3, 3), np.float32)
    join = np.zeros((phases, 32, 3, 3), np.float32)
    for tap in range(taps):
        shift[2 * tap, 0, tap // side, tap % side] = 1
        shift[2 * tap + 1, 0, tap // side, tap % side] = -1
    for channel in range(2 * taps):
        carry[channel, channel, 1, 1] = 1
    for phase, kernel in enumerate(phase_filters().reshape(phases, taps)):
        for tap, weight in enumerate(kernel):
            filters[2 * phase : 2 * phase + 2, 2 * tap : 2 * tap + 2, 1, 1] = [
                [weight, -weight],
                [-weight, weight],
            ]
        join[phase, 2 * phase, 1, 1] = 1
        join[phase, 2 * phase + 1, 1, 1] = -1
    return [shift, carry, filters, join]


def write_onnx(path: Path) -> None:
    """Write the network: "input" FP32 [N, 1, 224, 224] to "output" FP32 [N, 1, 672, 672]."""
    around = np.array([0, 0, REACH, REACH, 0, 0, REACH, REACH], np.int64)
    constants = [onnx_file.tensor("around", around)]
    nodes = [onnx_file.node("Pad", ["input", "around"], "conv1_in", {"mode": "edge"})]
    layers = weights()
    for number, layer in enumerate(layers, 1):
        border = 0 if number == 1 else 1  # the first has had its border from Pad
        taken, given = [f"conv{number}_in", f"weights{number}"], f"conv{number}_out"
        constants.append(onnx_file.tensor(taken[1], layer))
        nodes.append(onnx_file.node("Conv", taken, given, {"pads": [border] * 4}))
        if number < len(layers):
            nodes.append(onnx_file.node("Relu", [given], f"conv{number + 1}_in", {}))
    shuffle: dict[str, onnx_file.Attribute] = {"blocksize": SCALE, "mode": "CRD"}
    nodes.append(onnx_file.node("DepthToSpace", [f"conv{len(layers)}_out"], "output", shuffle))
    small, large = ("N", 1, SIZE, SIZE), ("N", 1, SIZE * SCALE, SIZE * SCALE)
    network = onnx_file.model(
        "espcn",
        nodes,
        constants,
        [onnx_file.value_info("input", small)],
        [onnx_file.value_info("output", large)],
    )
    path.write_bytes(network)
