"""Each sensor on a tree or a module of its own: figures, what is absent, faults in one clear line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from triton_users.collect import host, triton_metrics
from triton_users.collect.cpu import Cpu, parse_stat, parse_table, shares
from triton_users.collect.jetson import Jetson
from triton_users.collect.powercap import Powercap
from triton_users.collect.rates import Growing
from triton_users.collect.sensor import Absent, Failed, Reading
from triton_users.metrics import CPU_SHARES

S = 1_000_000_000


def by_label(readings: Any, label: str) -> dict[str, Reading]:
    return {reading.labels[label]: reading for reading in readings if not reading.detail}


def tree(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


# Processors


def stat(*ticks: str, interrupts: int = 0) -> str:
    return "".join(f"{line}\n" for line in ticks) + f"intr {interrupts} 1 2 3\nctxt 1\n"


INTERRUPTS = """\
           CPU0       CPU1
  0:        {0}          0  IO-APIC   2-edge  timer
LOC:         10        {1}  Local timer
ERR:          0
"""


def test_shares_are_those_of_mpstat_and_guests_are_no_users(tmp_path: Path) -> None:
    # user nice system idle iowait irq softirq steal guest guest_nice
    before = stat("cpu  100 10 0 0 0 0 0 0 40 10", "cpu0 100 10 0 0 0 0 0 0 40 10", interrupts=5)
    after = stat("cpu  140 20 10 20 5 5 5 5 60 15", "cpu0 140 20 10 20 5 5 5 5 60 15", interrupts=1005)
    proc = tree(
        tmp_path, {"stat": before, "interrupts": INTERRUPTS.format(1, 2), "softirqs": "CPU0 CPU1\nHI: 0 0\n"}
    )
    sensor = Cpu(proc)
    sensor.open()
    assert list(sensor.sample(0)) == []
    tree(tmp_path, {"stat": after, "interrupts": INTERRUPTS.format(41, 22)})
    found = list(sensor.sample(2 * S))
    cpu = by_label(found, "cpu")
    assert cpu["0"].values == {
        "cpu_usr_ratio": 0.2,
        "cpu_nice_ratio": 0.05,
        "cpu_sys_ratio": 0.1,
        "cpu_idle_ratio": 0.2,
        "cpu_iowait_ratio": 0.05,
        "cpu_irq_ratio": 0.05,
        "cpu_soft_ratio": 0.05,
        "cpu_steal_ratio": 0.05,
        "cpu_guest_ratio": 0.2,
        "cpu_gnice_ratio": 0.05,
        "interrupt_rate": 20.0,
    }
    assert sum(cpu["0"].values[f"cpu_{name}_ratio"] for name in CPU_SHARES) == pytest.approx(1)
    assert cpu["all"].values["interrupt_rate"] == 500.0
    assert [(r.labels, r.values) for r in found if r.detail] == [
        ({"cpu": "0", "interrupts": "hard"}, {"0": 20.0}),
        ({"cpu": "1", "interrupts": "hard"}, {"LOC": 10.0}),
    ]


def test_ticks_that_the_kernel_takes_back_and_none_at_all() -> None:
    ticks = dict.fromkeys([*CPU_SHARES], 10)
    assert shares(ticks, ticks) == {}
    less_idle = shares(ticks, ticks | {"idle": 9, "usr": 12})
    assert (less_idle["cpu_idle_ratio"], less_idle["cpu_usr_ratio"]) == (0.0, 1.0)


def test_a_processor_that_goes_offline_is_absent_and_old_kernels_have_fewer_columns() -> None:
    total, processors = parse_stat("cpu  1 2 3 4\ncpu1 1 2 3 4\nintr 77\n")
    assert total == 77
    assert processors["1"] == {"usr": 1, "nice": 2, "sys": 3, "idle": 4} | dict.fromkeys(
        ("iowait", "irq", "soft", "steal", "guest", "gnice"), 0
    )
    assert parse_table("CPU0 CPU2\nLOC: 5 6 Local\nMIS: 0\n") == {"0": {"LOC": 5}, "2": {"LOC": 6}}


def test_interrupts_are_read_less_often_where_that_costs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spent = iter(range(0, 100 * S, 6_000_000))  # 6 ms of processor time for each reading
    monkeypatch.setattr("triton_users.collect.cpu.time.thread_time_ns", lambda: next(spent))
    proc = tree(tmp_path, {"stat": stat("cpu0 1 2 3 4"), "interrupts": INTERRUPTS.format(1, 2)})
    sensor = Cpu(proc)
    sensor.open()
    read: list[int] = []
    monkeypatch.setattr(sensor, "_table", lambda name, now: read.append(now) or iter(()))  # type: ignore[func-returns-value]
    for second in range(6):
        list(sensor.sample(second * S))
    assert read == [0, 2 * S, 4 * S]


def test_no_proc_no_processors(tmp_path: Path) -> None:
    with pytest.raises(Absent, match="Linux"):
        Cpu(tmp_path).open()


# Differences


def test_growth_starts_anew_after_a_counter_went_back() -> None:
    growing = Growing()
    assert growing.of("a", 0, {"x": 5}) is None
    grown = growing.of("a", 2 * S, {"x": 9})
    assert grown is not None and grown.per_second("x") == 2.0
    assert growing.of("a", 3 * S, {"x": 1}) is None
    again = growing.of("a", 4 * S, {"x": 2})
    assert again is not None and again.by == {"x": 1}


# Memory, network, disk: their real figures are in tests/real


def test_interfaces_and_disks_that_appear_late_or_never_did_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    from psutil._ntuples import snetio

    nics = {
        "eth0": snetio(1, 2, 3, 4, 0, 0, 0, 0),
        "veth9": snetio(1, 2, 3, 4, 0, 0, 0, 0),
        "dummy": snetio(0, 0, 0, 0, 0, 0, 0, 0),
    }
    monkeypatch.setattr(host.psutil, "net_io_counters", lambda **_: nics)
    sensor = host.Network()
    sensor.open()
    assert list(sensor.sample(0)) == []
    nics |= {"eth0": snetio(11, 22, 3, 4, 1, 1, 2, 3), "late": snetio(5, 5, 5, 5, 0, 0, 0, 0)}
    (found,) = sensor.sample(2 * S)
    assert found.labels == {"nic": "eth0"}
    assert found.values == {
        "network_sent_bytes_per_s": 5.0,
        "network_received_bytes_per_s": 10.0,
        "network_sent_packet_rate": 0.0,
        "network_received_packet_rate": 0.0,
        "network_error_rate": 1.0,
        "network_drop_rate": 2.5,
    }


def test_no_disks_no_interfaces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host.psutil, "disk_io_counters", lambda **_: {})
    monkeypatch.setattr(host.psutil, "net_io_counters", lambda **_: {})
    with pytest.raises(Absent):
        host.Disk().open()
    with pytest.raises(Absent):
        host.Network().open()


# Energy of processors: the tree of the kernel's Documentation/power/powercap/powercap.rst; the energy is the
# one in the fixtures of github.com/prometheus/procfs (sysfs, class/powercap).

RANGE_UJ, ENERGY_UJ = 262_143_328_850, 240_422_366_267


def rapl(root: Path, package: int = ENERGY_UJ, core: int = 1_000_000) -> Path:
    zone = "{0}/name", "{0}/max_energy_range_uj", "{0}/energy_uj"
    texts = {"intel-rapl:0": ("package-0", package), "intel-rapl:0:0": ("core", core)}
    files = {}
    for path, (name, energy) in texts.items():
        files |= dict(
            zip((z.format(path) for z in zone), (f"{name}\n", f"{RANGE_UJ}\n", f"{energy}\n"), strict=True)
        )
    return tree(root, files | {"intel-rapl/enabled": "1\n", "intel-rapl-mmio:0/energy_uj": "7\n"})


def test_energy_wraps_and_grows_from_zero(tmp_path: Path) -> None:
    sensor = Powercap(rapl(tmp_path))
    sensor.open()
    zones = by_label(sensor.sample(0), "zone")
    assert {name: dict(one.values) for name, one in zones.items()} == {
        "package-0": {"cpu_energy_joules": 0.0},
        "package-0/core": {"cpu_energy_joules": 0.0},
    }
    rapl(tmp_path, core=3_500_000, package=4_000_000)  # the package's counter has wrapped
    zones = by_label(sensor.sample(2 * S), "zone")
    assert zones["package-0/core"].values == {"cpu_energy_joules": 2.5, "cpu_power_watts": 1.25}
    wrapped = (RANGE_UJ - ENERGY_UJ + 4_000_000) / 1e6
    assert zones["package-0"].values["cpu_energy_joules"] == pytest.approx(wrapped)


def test_energy_that_only_root_may_read_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sensor = Powercap(rapl(tmp_path))
    read = Path.read_text

    def refuse(path: Path, *arguments: Any, **more: Any) -> str:
        if path.name == "energy_uj":
            raise PermissionError(13, "Permission denied", str(path))
        return read(path, *arguments, **more)

    monkeypatch.setattr(Path, "read_text", refuse)
    with pytest.raises(Failed, match=r"may be read by root alone: .*chmod"):
        sensor.open()
    with pytest.raises(Absent, match="no energy counters"):
        Powercap(tmp_path / "none").open()


# Jetson: files and units by the kernel's Documentation/hwmon/ina3221.rst, rail names by its device tree of
# the Orin NX (tegra234-p3767.dtsi). Values are made up: no Jetson was at hand.


def jetson(root: Path) -> Path:
    chip = {
        "name": "ina3221\n",
        "in1_label": "VDD_IN\n",
        "in1_input": "5000\n",
        "curr1_input": "1500\n",
        "in2_label": "VDD_CPU_GPU_CV\n",
        "in2_input": "4960\n",
        "curr2_input": "500\n",
        "in3_label": "NC\n",
        "in3_input": "1\n",
        "curr3_input": "1\n",
        "in7_label": "sum of shunt voltages\n",
    }
    files = {f"class/hwmon/hwmon3/{name}": text for name, text in chip.items()}
    return tree(
        root, files | {"class/hwmon/hwmon0/name": "nvme\n", "devices/platform/17000000.gpu/load": "734\n"}
    )


def test_rails_and_load_of_a_jetson(tmp_path: Path) -> None:
    sensor = Jetson(jetson(tmp_path))
    sensor.open()
    *rails, load = sensor.sample(0)
    assert {one.labels["rail"]: one.values["rail_power_watts"] for one in rails} == {
        "VDD_IN": 7.5,
        "VDD_CPU_GPU_CV": pytest.approx(2.48),
    }
    assert (load.labels, load.values) == ({"gpu": "0"}, {"gpu_utilization_ratio": 0.734})
    (tmp_path / "class/hwmon/hwmon3/curr1_input").unlink()  # a rail that cannot be read now
    assert [one.labels.get("rail") for one in sensor.sample(S)] == ["VDD_CPU_GPU_CV", None]
    (tmp_path / "devices/platform/17000000.gpu/load").unlink()
    rail, load = sensor.sample(2 * S)
    assert rail.values and not load.values
    assert load.fault.startswith("the GPU's load: No such file or directory: ")
    (tmp_path / "class/hwmon/hwmon3/curr2_input").unlink()
    with pytest.raises(OSError, match="No such file"):
        list(sensor.sample(3 * S))


def test_what_is_no_jetson(tmp_path: Path) -> None:
    tree(tmp_path, {"class/hwmon/hwmon0/name": "coretemp\n"})
    with pytest.raises(Absent, match="no Jetson"):
        Jetson(tmp_path).open()


# Triton's page


PAGE = """\
# HELP nv_inference_request_success Number of successful inference requests, all batch sizes
# TYPE nv_inference_request_success counter
nv_inference_request_success{model="a",version="1"} 7
nv_inference_request_success{model="b",version="2"} 0
# TYPE nv_gpu_power_usage gauge
nv_gpu_power_usage{gpu_uuid="GPU-1"} 61.5
# TYPE nv_inference_request_summary_us summary
nv_inference_request_summary_us{model="a",version="1",quantile="0.5"} Nan
# TYPE my_backend_total counter
my_backend_total 3
"""


def test_triton_s_page_by_labels_with_unknown_names_for_the_files() -> None:
    found = list(triton_metrics.Page(text_string_to_metric_families).readings(PAGE))
    assert found == [
        Reading({"model": "a", "version": "1"}, {"nv_inference_request_success": 7}),
        Reading({"model": "b", "version": "2"}, {"nv_inference_request_success": 0}),
        Reading({"uuid": "GPU-1"}, {"nv_gpu_power_usage": 61.5}),
        Reading({}, {"my_backend_total": 3}, detail=True),
    ]


@pytest.mark.parametrize(
    ("page", "next_page", "parsed"),
    [
        (PAGE, PAGE.replace("61.5", "+Inf").replace(" 7", " 8"), 1),
        (PAGE, PAGE.replace(" 7", ' 8\nnv_inference_count{model="a",version="1"} 9'), 2),
        (PAGE.replace(" 7", " 7 1700000000000"), PAGE.replace(" 7", " 8 1700000001000"), 2),
        ("nv_a 1\nnv_b 2\nnv_a 3\n", "nv_a 4\nnv_b 2\nnv_a 5\n", 1),
        ("", PAGE, 2),
    ],
)
def test_a_page_that_comes_again_is_read_as_the_parser_reads_it(
    page: str, next_page: str, parsed: int
) -> None:
    pages: list[str] = []

    def parse(text: str) -> Any:
        pages.append(text)
        return text_string_to_metric_families(text)

    reader = triton_metrics.Page(parse)
    list(reader.readings(page))
    again = list(reader.readings(next_page))
    assert again == list(triton_metrics.Page(text_string_to_metric_families).readings(next_page))
    assert len(pages) == parsed


def test_what_is_no_page_is_told_also_after_one_that_was() -> None:
    reader = triton_metrics.Page(text_string_to_metric_families)
    list(reader.readings(PAGE))
    with pytest.raises(ValueError, match="could not convert"):
        list(reader.readings(PAGE.replace("61.5", "many")))


def test_a_page_that_is_not_there_says_what_to_do() -> None:
    for guessed, advice in ((True, "give --metrics-url"), (False, "is --metrics-url right")):
        with pytest.raises(Failed, match=advice):
            triton_metrics.TritonMetrics("http://127.0.0.1:9/metrics", guessed=guessed).open()
