"""*Hardware and generators*: whether the load generators keep up, and what hosts and GPUs do meanwhile."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from grafana_foundation_sdk.models.dashboard import Dashboard

from grafana.source import board
from grafana.source.board import Row
from grafana.source.influxql import From
from grafana.source.panels import Line, Panel, lines
from grafana.source.units import unit_of
from triton_users.metrics import CPU_SHARES

UID = "triton-users-hardware"

_WORKER, _SAMPLE = From("worker"), From("sample")
_GPU = _SAMPLE.among("source", "gpu", "jetson")
_METRICS = _SAMPLE.where("source", "triton_metrics")
_ENERGY, _RAILS = _SAMPLE.where("source", "powercap"), _SAMPLE.where("source", "jetson")
_CPUS = _SAMPLE.where("source", "cpu").where("cpu", "all")
_MEMORY, _NETWORK = _SAMPLE.where("source", "memory"), _SAMPLE.where("source", "network")
_DISK = _SAMPLE.where("source", "disk")
_CHOSEN = ("run", "step", "worker")
_BUSY = [name for name in CPU_SHARES if name != "idle"]


def hardware() -> Dashboard:
    """The dashboard."""
    return board.board(
        UID,
        "Triton load test: hardware and generators",
        "Load generators by worker, and what the agents measure on every host.",
        [board.run_variable(), board.step_variable(), board.worker_variable(), board.host_variable()],
        [
            Row("Load generators", _generators()),
            Row("GPUs", _gpus()),
            Row("Host $host", [_cpus(), *_hosts(), *_traffic()], repeat="host"),
        ],
    )


def _generators() -> list[Panel]:
    return [
        _of_worker("CPU of a worker", {"cpu_ratio": ""}, "Share of one processor: near 1 it cannot keep up."),
        _of_worker(
            "Send lag: the interval's worst per-second p99",
            {"send_lag_p99_ns": "p99 "},
            "From the intended arrival to sending: 99th percentiles of seconds, the largest of the interval. "
            "A closed loop has none.",
        ),
        _share(),
        _of_worker(
            "Longest stall", {"loop_stall_max_ns": ""}, "Nothing is sent while a worker's loop stalls."
        ),
        _of_worker(
            "Clock offset",
            {"clock_offset_ns": "", "clock_uncertainty_ns": "± "},
            "The worker's clock minus the master's, and how wrong that may be.",
            low=None,
        ),
        _of_worker(
            "Missing windows",
            {"windows_missing": ""},
            "Seconds of a worker that had not come by then: above zero for long, they never will.",
        ),
    ]


def _of_worker(title: str, named: Mapping[str, str], text: str, low: float | None = 0) -> Panel:
    """The largest value of the interval of each worker; ``named`` says what stands before its name."""
    queries = [
        Line(
            _WORKER.every(_WORKER.largest(name), by=["run", "worker"], selected=_CHOSEN),
            f"{before}worker $tag_worker · $tag_run",
        )
        for name, before in named.items()
    ]
    return lines(title, unit_of(next(iter(named))), queries, text, width=8, low=low)


def _share() -> Panel:
    query = _WORKER.every(_WORKER.rate("sent"), by=["run", "worker"], selected=_CHOSEN)
    return lines(
        "Share of the load",
        unit_of("request_rate"),
        [Line(query, "worker $tag_worker · $tag_run")],
        "Requests that each worker sent, as a share of all.",
        width=8,
        stacked="share",
    )


def _sensor(
    title: str,
    source: From,
    named: Mapping[str, str],
    by: Sequence[str],
    text: str,
    *,
    top: float | None = None,
    grown: bool = False,
    width: int = 8,
    more: Sequence[Line] = (),
) -> Panel:
    """Means of the interval, or how much totals have ``grown``; ``named``: what each field is called.
    ``more`` of the same unit stands beside them."""
    query = source.every(
        *_columns(source, named, grown=grown), by=["run", "host", *by], selected=("run", "host")
    )
    tags = " ".join(f"$tag_{tag}" for tag in ("host", *by))
    unit = unit_of(next(iter(named)))
    return lines(title, unit, [Line(query, f"$col · {tags} · $tag_run"), *more], text, width=width, top=top)


def _columns(source: From, named: Mapping[str, str], *, grown: bool = False) -> Iterator[str]:
    column = source.grown if grown else source.mean
    return (column(name, shown) for name, shown in named.items())


def _gpu(
    title: str,
    named: Mapping[str, str],
    tritons: str,
    text: str,
    *,
    top: float | None = None,
    grown: bool = False,
) -> Panel:
    """A panel of GPUs; ``tritons``: the field that Triton's metrics page has of it, where no agent is."""
    shown = next(iter(named.values()))
    columns = _columns(_METRICS, {tritons: f"{shown} (Triton)"}, grown=grown)
    line = Line(_METRICS.every(*columns, by=["run", "uuid"]), "$col · $tag_uuid · $tag_run")
    text = f"{text} (Triton): by its metrics page."
    return _sensor(title, _GPU, named, ["gpu"], text, top=top, grown=grown, width=6, more=[line])


def _gpus() -> list[Panel]:
    by = ["gpu"]
    return [
        _gpu(
            "GPU utilisation",
            {"gpu_utilization_ratio": "GPU", "gpu_memory_utilization_ratio": "memory"},
            "nv_gpu_utilization",
            "Share of time in which it had work, and in which its memory was read or written.",
            top=1,
        ),
        _gpu(
            "GPU power",
            {"gpu_power_watts": "power", "gpu_power_limit_watts": "limit"},
            "nv_gpu_power_usage",
            "Power, and the limit in force.",
        ),
        _gpu(
            "GPU memory",
            {"gpu_memory_used_bytes": "used", "gpu_memory_total_bytes": "total"},
            "nv_gpu_memory_used_bytes",
            "Memory in use, and all that there is.",
        ),
        _gpu(
            "GPU energy",
            {"gpu_energy_joules": "energy"},
            "nv_energy_consumption",
            "Since the first interval shown.",
            grown=True,
        ),
        _sensor(
            "GPU clocks",
            _GPU,
            {"gpu_sm_clock_hz": "SM", "gpu_memory_clock_hz": "memory"},
            by,
            "Clocks of the processors and of the memory.",
        ),
        _sensor("GPU temperature", _GPU, {"gpu_temperature_celsius": "temperature"}, by, "Of the GPU."),
        _throttled(),
    ]


def _throttled() -> Panel:
    column = _GPU.largest("gpu_throttled", "held back")
    query = _GPU.every(column, by=["run", "host", "gpu"], selected=("run", "host"))
    return lines(
        "GPU held back",
        unit_of("gpu_throttled"),
        [Line(query, "$col · $tag_host $tag_gpu · $tag_run")],
        "1 in an interval in which power or heat held the GPU back.",
        width=8,
        top=1,
    )


def _cpus() -> Panel:
    """Not by run: what two of them see at once are the same processors, and no stack may hold them twice."""
    columns = _columns(_CPUS, {f"cpu_{name}_ratio": name for name in _BUSY})
    return lines(
        "CPU by category",
        unit_of(f"cpu_{_BUSY[0]}_ratio"),
        [Line(_CPUS.every(*columns, by=["host"], selected=("run", "host")), "$col · $tag_host")],
        "All processors of the host, stacked as mpstat names them; the rest is idle.",
        width=8,
        stacked="sum",
        top=1,
    )


def _hosts() -> list[Panel]:
    return [
        _sensor("Interrupts", _CPUS, {"interrupt_rate": "interrupts"}, [], "All interrupts of the host."),
        _sensor(
            "Memory",
            _MEMORY,
            {"memory_used_bytes": "used", "swap_used_bytes": "swap used", "memory_total_bytes": "total"},
            [],
            "Memory of the host, and swap in use where there is some.",
        ),
        _sensor(
            "CPU power", _ENERGY, {"cpu_power_watts": "power"}, ["zone"], "By zone, where powercap shows it."
        ),
        _sensor(
            "CPU energy",
            _ENERGY,
            {"cpu_energy_joules": "energy"},
            ["zone"],
            "By zone, since the first interval shown, where powercap shows it.",
            grown=True,
        ),
        _sensor("Rail power", _RAILS, {"rail_power_watts": "power"}, ["rail"], "By supply rail of a Jetson."),
    ]


def _traffic() -> list[Panel]:
    return [
        _sensor(
            "Network",
            _NETWORK,
            {"network_sent_bytes_per_s": "sent", "network_received_bytes_per_s": "received"},
            ["nic"],
            "By interface.",
            width=6,
        ),
        _sensor(
            "Network faults",
            _NETWORK,
            {"network_error_rate": "errors", "network_drop_rate": "dropped"},
            ["nic"],
            "Errors and packets dropped, both ways, by interface.",
            width=6,
        ),
        _sensor(
            "Disk",
            _DISK,
            {"disk_read_bytes_per_s": "read", "disk_write_bytes_per_s": "written"},
            ["disk"],
            "By disk.",
            width=6,
        ),
        _sensor(
            "Disk busy",
            _DISK,
            {"disk_busy_ratio": "busy"},
            ["disk"],
            "Share of time in which a disk had work.",
            top=1,
            width=6,
        ),
    ]
