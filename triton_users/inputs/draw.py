"""Which class an arrival's pick stands for: the same on workers, which send it, and on the master."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from triton_users.inputs.classes import Classes


def class_edges(classes: Classes) -> npt.NDArray[np.float64]:
    """f8[classes + 1]: the cumulative weights from 0 to 1."""
    weights = np.array([weight for _, weight in classes], np.float64)
    edges = np.concatenate(([0.0], np.cumsum(weights) / weights.sum()))
    edges[-1] = 1.0
    return edges


def class_index(edges: npt.NDArray[np.float64], picks: npt.NDArray[np.float64]) -> npt.NDArray[np.intp]:
    """The class of each pick (f8 in [0, 1)): its place among the weights."""
    return np.searchsorted(edges[1:-1], picks, side="right")
