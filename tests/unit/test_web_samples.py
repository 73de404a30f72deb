"""The newest samples as the tab shows them, from the lines that sensors make."""

from __future__ import annotations

from collections.abc import Mapping

from tests.fakes.nvml import MadeUpNvml
from triton_users.collect.nvml import Nvml
from triton_users.collect.sensor import Note, Reading, Sample
from triton_users.units import NS_PER_MS, NS_PER_S
from triton_users.web.samples import FRESH_NS, Samples

MODEL = {"model": "espcn", "version": "1"}
ALL, FIRST = {"cpu": "all"}, {"cpu": "0"}


def line(
    source: str, labels: Mapping[str, str], at_ns: int = 0, *, detail: bool = False, **values: float
) -> str:
    return Sample(source, "box", at_ns, labels, values, detail).line()


def test_the_model_the_gpus_and_the_processors() -> None:
    sensor = Nvml(MadeUpNvml)
    sensor.open()
    gpus = [one for one in sensor.sample(0) if isinstance(one, Reading)]
    compute = {"compute_input_ns": 1e5, "compute_infer_ns": 7e6, "compute_output_ns": 4e5}
    samples = Samples()
    samples.add(
        "\n".join(
            [
                line("cpu", ALL, cpu_usr_ratio=0.25, cpu_idle_ratio=0.625, cpu_iowait_ratio=0.125),
                line("cpu", FIRST, cpu_idle_ratio=0.0),
                line("cpu", ALL, detail=True, cpu_idle_ratio=1.0),
                line("memory", {}, memory_used_bytes=5.0),
                Note("gpu", "box", "here").line(),
                *(Sample("gpu", "box", 0, one.labels, one.values).line() for one in gpus),
                line("triton_statistics", MODEL, queue_ns=2.0 * NS_PER_MS, **compute),
            ]
        )
    )
    assert samples.figures() == [
        ("Queue, espcn", "2 ms"),
        ("Compute, espcn", "7.50 ms"),
        ("GPU 0 of box", "25 %"),
        ("Power of GPU 0 of box", "70 W"),
        ("GPU 1 of box", "25 %"),
        ("Power of GPU 1 of box", "70 W"),
        ("CPU of box, all processors", "25 %"),
    ]


def test_a_newer_sample_takes_the_place_of_the_last() -> None:
    samples = Samples()
    samples.add(line("triton_statistics", MODEL, queue_ns=5.0, compute_infer_ns=5.0))
    samples.add(line("triton_statistics", MODEL, NS_PER_S, success_count=0.0))
    assert samples.figures() == [("Queue, espcn", "–"), ("Compute, espcn", "–")]


def test_a_sensor_that_fails_leaves_no_figure() -> None:
    samples = Samples()
    samples.add(line("jetson", {"gpu": "0"}, gpu_utilization_ratio=0.5))
    samples.add(line("jetson", {"rail": "VDD_IN"}, rail_power_watts=5.0))
    samples.add(line("cpu", ALL, FRESH_NS, cpu_idle_ratio=0.5))
    assert [title for title, _ in samples.figures()] == ["GPU 0 of box", "CPU of box, all processors"]
    samples.add(line("cpu", ALL, FRESH_NS + 1, cpu_idle_ratio=0.5))
    assert [title for title, _ in samples.figures()] == ["CPU of box, all processors"]
