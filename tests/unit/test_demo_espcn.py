"""The super-resolution network: its size is ESPCN's, its answer is a bicubic enlargement."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from triton_users.demo import espcn

onnxruntime = pytest.importorskip("onnxruntime")


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Any:
    path = tmp_path_factory.mktemp("espcn") / "model.onnx"
    espcn.write_onnx(path)
    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


def enlarge(network: Any, pictures: np.ndarray) -> np.ndarray:
    return network.run(["output"], {"input": pictures})[0]


def bicubic(picture: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(picture, mode="F").resize((672, 672), Image.Resampling.BICUBIC))


def psnr_db(one: np.ndarray, other: np.ndarray) -> float:
    """For pictures in 0 to 1."""
    return float(-10 * np.log10(np.mean((one - other) ** 2)))


def landscape(size: int) -> np.ndarray:
    """[size, size] float32 in 0 to 1: sky, sun, hills and a fence."""
    big = 4 * size  # drawn larger, then averaged: no staircases of its own
    rows = np.linspace(0, 1, big)[:, None]
    columns = np.linspace(0, 1, big)[None, :]
    shade = 0.9 - 0.35 * rows + 0.05 * np.sin(9 * columns + 14 * rows)
    for depth, (height, wave) in enumerate([(0.55, 5.0), (0.66, 8.0), (0.78, 13.0)]):
        ridge = height + 0.06 * np.sin(wave * columns + depth) + 0.025 * np.sin(3.7 * wave * columns)
        tone = 0.55 - 0.14 * depth + 0.04 * np.sin(60 * columns * (depth + 1)) * np.sin(80 * rows)
        shade = np.where(rows > ridge, tone, shade)
    picture = Image.fromarray((255 * np.clip(shade, 0, 1)).astype(np.uint8), mode="L")
    draw = ImageDraw.Draw(picture)
    draw.ellipse([0.66 * big, 0.1 * big, 0.84 * big, 0.28 * big], fill=250)
    for post in range(9):
        x = (0.06 + 0.11 * post) * big
        draw.rectangle([x, 0.84 * big, x + 0.012 * big, 0.97 * big], fill=235)
        draw.line([x, 0.87 * big, x + 0.11 * big, 0.865 * big], fill=225, width=big // 110)
        draw.line([x, 0.93 * big, x + 0.11 * big, 0.925 * big], fill=225, width=big // 110)
    small = picture.resize((size, size), Image.Resampling.BOX)
    return np.asarray(small, np.float32) / 255


def test_every_layer_has_its_size() -> None:
    assert [layer.shape for layer in espcn.weights()] == [
        (64, 1, 5, 5),
        (64, 64, 3, 3),
        (32, 64, 3, 3),
        (9, 32, 3, 3),
    ]
    np.testing.assert_allclose(espcn.phase_filters().sum((1, 2)), 1)


def test_is_bicubic(network: Any) -> None:
    picture = landscape(224)
    enlarged = enlarge(network, picture[None, None])
    assert enlarged.shape == (1, 1, 672, 672)
    assert enlarged.dtype == np.float32
    reference = bicubic(picture)
    whole, inside = (
        psnr_db(enlarged[0, 0], reference),
        psnr_db(enlarged[0, 0, 6:-6, 6:-6], reference[6:-6, 6:-6]),
    )
    print(f"PSNR against Pillow's bicubic: {whole:.1f} dB, without the outermost 6 pixels {inside:.1f} dB")
    assert whole > 50
    assert inside > 100


def test_is_nearer_to_the_large_picture_than_repeated_pixels(network: Any) -> None:
    truth = landscape(672)
    small = truth.reshape(224, 3, 224, 3).mean((1, 3)).astype(np.float32)
    enlarged = psnr_db(enlarge(network, small[None, None])[0, 0], truth)
    repeated = psnr_db(small.repeat(3, 0).repeat(3, 1), truth)
    print(f"PSNR against the picture before: {enlarged:.1f} dB, repeated pixels {repeated:.1f} dB")
    assert enlarged > 30
    assert enlarged > repeated + 1


def test_edges_neither_darken_nor_ring(network: Any) -> None:
    flat = np.full((1, 1, 224, 224), 0.7, np.float32)
    np.testing.assert_allclose(enlarge(network, flat), 0.7, atol=1e-5)


def test_any_values_any_batch(network: Any) -> None:
    values = np.random.default_rng(1).normal(0, 100, (3, 1, 224, 224)).astype(np.float32)
    enlarged = enlarge(network, values)
    for picture, answer in zip(values, enlarged, strict=True):
        np.testing.assert_allclose(answer[0, 6:-6, 6:-6], bicubic(picture[0])[6:-6, 6:-6], atol=0.01)


def test_side_by_side(network: Any, tmp_path: Path) -> None:
    """Writes the picture of docs/images/super-resolution.png; copy it there when the network changes."""
    truth = landscape(672)
    small = truth.reshape(224, 3, 224, 3).mean((1, 3)).astype(np.float32)
    enlarged = enlarge(network, small[None, None])[0, 0]
    rows, columns = slice(360, 660), slice(0, 300)
    parts = [part[rows, columns] for part in (small.repeat(3, 0).repeat(3, 1), enlarged, truth)]
    gap = np.ones((300, 6), np.float32)
    joined = np.concatenate([parts[0], gap, parts[1], gap, parts[2]], axis=1)
    path = tmp_path / "super-resolution.png"
    Image.fromarray((255 * np.clip(joined, 0, 1)).round().astype(np.uint8)).save(path, optimize=True)
    assert path.stat().st_size < 200_000
