"""Every metric once: the names in summary.json, in windows, in the console and wherever results go.

A count is an integer; ``ns`` are integer nanoseconds; rates are per second; ratios lie between 0 and 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["counter", "total", "gauge", "histogram"]
"""A ``counter`` tells what happened in its second or step, a ``total`` what happened since some start."""
Unit = Literal["1", "ns", "1/s", "us", "B", "B/s", "W", "J", "Hz", "V", "A", "°C"]
Merge = Literal["add", "max", "min", "last", "weighted"]
"""How values of several workers or windows make one; ``weighted``: by the count beside it."""


@dataclass(frozen=True, slots=True)
class Metric:
    """``scope`` says what has a value: a class of requests, a worker's window, a generator, a worker's step,
    the server, a step, a sensor of an agent. ``whole``: its values are whole numbers (a sensor's count as
    floats)."""

    name: str
    unit: Unit
    kind: Kind
    merge: Merge
    scope: Literal["class", "window", "generator", "worker", "server", "step", "sensor"]
    help: str
    whole: bool = True


def _count(name: str, help_text: str) -> Metric:
    return Metric(name, "1", "counter", "add", "class", help_text)


def _rate(name: str, help_text: str) -> Metric:
    return Metric(name, "1/s", "gauge", "add", "class", help_text, whole=False)


def _hist(name: str, help_text: str) -> Metric:
    return Metric(name, "ns", "histogram", "add", "class", help_text)


def _step(name: str, unit: Literal["1", "ns"], help_text: str) -> Metric:
    return Metric(name, unit, "gauge", "last", "step", help_text)


def _server_count(name: str, help_text: str) -> Metric:
    return Metric(name, "1", "counter", "add", "server", help_text)


def _server_time(name: str, help_text: str) -> Metric:
    return Metric(name, "ns", "gauge", "weighted", "server", help_text)


def _sensor(name: str, unit: Unit, help_text: str, kind: Kind = "gauge") -> Metric:
    merge: Merge = "add" if kind == "counter" else "last"
    return Metric(name, unit, kind, merge, "sensor", help_text, whole=False)


CPU_SHARES = {
    "usr": "in user code, guests not counted",
    "nice": "in user code with a nice value, guests not counted",
    "sys": "in the kernel",
    "iowait": "idle while a disk was waited for",
    "irq": "in hardware interrupts",
    "soft": "in software interrupts",
    "steal": "ready to run while the hypervisor served others",
    "guest": "running a virtual processor",
    "gnice": "running a virtual processor with a nice value",
    "idle": "idle",
}
"""As mpstat names them."""

THROTTLING = {
    "idle": "it has nothing to do",
    "clock_setting": "of the clocks that the user has set",
    "power_cap": "its power is at the limit",
    "hw_slowdown": "of heat, power brake or too much power (hardware)",
    "sync_boost": "other GPUs of its group run slower",
    "sw_thermal": "it is too hot (software)",
    "hw_thermal": "it is too hot (hardware)",
    "power_brake": "an outside power brake is on",
    "display_clock": "of the display's clock",
}
"""NVML's reasons for lower clocks."""

_SENSORS: tuple[Metric, ...] = (
    *(_sensor(f"cpu_{name}_ratio", "1", f"Share of time {text}") for name, text in CPU_SHARES.items()),
    _sensor("interrupt_rate", "1/s", "Interrupts, of one processor or all together"),
    _sensor("memory_total_bytes", "B", "Memory of the host"),
    _sensor("memory_used_bytes", "B", "Memory in use"),
    _sensor("memory_available_bytes", "B", "Memory that could be given out without swapping"),
    _sensor("memory_cached_bytes", "B", "Memory that holds cached files"),
    _sensor("memory_buffers_bytes", "B", "Memory that holds buffers"),
    _sensor("swap_used_bytes", "B", "Swap in use"),
    _sensor("network_sent_bytes_per_s", "B/s", "Bytes sent"),
    _sensor("network_received_bytes_per_s", "B/s", "Bytes received"),
    _sensor("network_sent_packet_rate", "1/s", "Packets sent"),
    _sensor("network_received_packet_rate", "1/s", "Packets received"),
    _sensor("network_error_rate", "1/s", "Errors, both ways"),
    _sensor("network_drop_rate", "1/s", "Packets dropped, both ways"),
    _sensor("disk_read_bytes_per_s", "B/s", "Bytes read"),
    _sensor("disk_write_bytes_per_s", "B/s", "Bytes written"),
    _sensor("disk_read_operation_rate", "1/s", "Reads"),
    _sensor("disk_write_operation_rate", "1/s", "Writes"),
    _sensor("disk_busy_ratio", "1", "Share of time in which the disk had work"),
    _sensor("cpu_energy_joules", "J", "Energy since the agent began to look (powercap)", "total"),
    _sensor("cpu_power_watts", "W", "Mean power of the interval (powercap)"),
    _sensor("gpu_utilization_ratio", "1", "Share of time in which the GPU had work"),
    _sensor("gpu_memory_utilization_ratio", "1", "Share of time in which its memory was read or written"),
    _sensor("gpu_memory_used_bytes", "B", "GPU memory in use"),
    _sensor("gpu_memory_total_bytes", "B", "GPU memory"),
    _sensor("gpu_power_watts", "W", "Power of the GPU"),
    _sensor("gpu_power_limit_watts", "W", "Power limit in force"),
    _sensor("gpu_energy_joules", "J", "Energy since the driver was loaded", "total"),
    _sensor("gpu_sm_clock_hz", "Hz", "Clock of the GPU's processors"),
    _sensor("gpu_memory_clock_hz", "Hz", "Clock of the GPU's memory"),
    _sensor("gpu_temperature_celsius", "°C", "Temperature of the GPU"),
    _sensor("gpu_throttled", "1", "1 while power or heat holds the GPU back, else 0"),
    *(
        _sensor(f"gpu_throttle_{name}", "1", f"1 while slower because {text}")
        for name, text in THROTTLING.items()
    ),
    _sensor("rail_voltage_volts", "V", "Voltage of a Jetson's rail"),
    _sensor("rail_current_amperes", "A", "Current of a Jetson's rail"),
    _sensor("rail_power_watts", "W", "Power of a Jetson's rail: voltage times current"),
    _sensor("fail_count", "1", "Requests that the server says it answered with an error", "counter"),
    _sensor("cache_misses", "1", "Requests that the server's response cache did not hold", "counter"),
    _sensor("nv_inference_request_success", "1", "Requests answered with success", "total"),
    _sensor("nv_inference_request_failure", "1", "Requests failed, by reason", "total"),
    _sensor("nv_inference_count", "1", "Inferences, without those from the cache", "total"),
    _sensor("nv_inference_exec_count", "1", "Executions of the model", "total"),
    _sensor("nv_inference_request_duration_us", "us", "Time of all requests together", "total"),
    _sensor("nv_inference_queue_duration_us", "us", "Time of all requests in the queue", "total"),
    _sensor("nv_inference_compute_input_duration_us", "us", "Time of preparing all inputs", "total"),
    _sensor("nv_inference_compute_infer_duration_us", "us", "Time of all requests in the model", "total"),
    _sensor("nv_inference_compute_output_duration_us", "us", "Time of preparing all outputs", "total"),
    _sensor("nv_inference_pending_request_count", "1", "Requests that wait for execution"),
    _sensor("nv_cache_num_hits_per_model", "1", "Requests answered from the cache", "total"),
    _sensor("nv_cache_num_misses_per_model", "1", "Requests that the cache did not hold", "total"),
    _sensor("nv_cache_hit_duration_per_model", "us", "Time of all hits of the cache", "total"),
    _sensor("nv_cache_miss_duration_per_model", "us", "Time of all misses of the cache", "total"),
    _sensor("nv_gpu_utilization", "1", "Share of time in which the GPU had work, as Triton sees it"),
    _sensor("nv_gpu_memory_total_bytes", "B", "GPU memory, as Triton sees it"),
    _sensor("nv_gpu_memory_used_bytes", "B", "GPU memory in use, as Triton sees it"),
    _sensor("nv_gpu_power_usage", "W", "Power of the GPU, as Triton sees it"),
    _sensor("nv_gpu_power_limit", "W", "Power limit of the GPU, as Triton sees it"),
    _sensor("nv_energy_consumption", "J", "Energy of the GPU since Triton started", "total"),
    _sensor("nv_pinned_memory_pool_total_bytes", "B", "Triton's pool of pinned memory"),
    _sensor("nv_pinned_memory_pool_used_bytes", "B", "Triton's pool of pinned memory: in use"),
    _sensor("nv_cpu_utilization", "1", "Share of processor time in use, as Triton sees it"),
    _sensor("nv_cpu_memory_total_bytes", "B", "Memory of Triton's host"),
    _sensor("nv_cpu_memory_used_bytes", "B", "Memory of Triton's host: in use"),
)

METRICS: tuple[Metric, ...] = (
    _count("scheduled", "Requests that the schedule asked for, counted from the schedule alone"),
    _count("offered", "Scheduled requests of flows with a rate; absent in closed loop"),
    _count("sent", "Requests handed to a connection"),
    _count("ok", "Requests answered with success"),
    _count("failed", "Requests answered by an error, without connection, or unanswered when the drain ended"),
    _count("dropped", "Arrivals never sent because the in-flight cap was full"),
    _count("lost", "Arrivals owned by a generator that fell silent, or granted to nobody"),
    _count("late", "Requests sent more than 1 ms after their arrival by the generator's own fault"),
    _count("inferences", "Inferences in the requests answered with success"),
    _count("completed", "Requests answered with success, by the time of the answer"),
    _count("completed_inferences", "Inferences in the completed requests"),
    _count("good", "Completed requests within the latency budget; absent without one"),
    _rate("request_rate", "Requests per second that the schedule offers"),
    _rate("achieved_request_rate", "Successful requests per second of the measured trials"),
    _rate("inference_rate", "Inferences per second of the measured trials"),
    _rate("goodput_rate", "Successful requests per second within the latency budget"),
    Metric("concurrency", "1", "gauge", "add", "class", "Requests kept in flight by a closed loop"),
    _hist("latency_ns", "From the intended arrival to the answer, successful requests"),
    _hist("service_latency_ns", "From sending to the answer, successful requests"),
    _hist("send_lag_ns", "From the intended arrival to sending"),
    _hist("failed_latency_ns", "From the intended arrival to the failure"),
    Metric("in_flight_start", "1", "gauge", "add", "window", "Requests in flight when the window began"),
    Metric("in_flight_end", "1", "gauge", "add", "window", "Requests in flight when the window ended"),
    Metric("users", "1", "gauge", "add", "window", "Users in place"),
    Metric(
        "in_flight", "1", "gauge", "last", "window", "Requests in flight when the second ended, all workers"
    ),
    Metric("clock_offset_ns", "ns", "gauge", "last", "window", "The worker's clock minus the master's"),
    Metric("clock_uncertainty_ns", "ns", "gauge", "last", "window", "How wrong the clock's offset may be"),
    Metric("cpu_ratio", "1", "gauge", "max", "generator", "Share of one processor used", whole=False),
    Metric("loop_stall_max_ns", "ns", "gauge", "max", "generator", "Longest stall of the generator's loop"),
    Metric("loop_stalls", "1", "counter", "add", "generator", "Stalls of the generator's loop"),
    Metric("gc_collections", "1", "counter", "add", "generator", "Garbage collections in the generator"),
    Metric(
        "send_lag_p99_ns",
        "ns",
        "gauge",
        "max",
        "generator",
        "99th percentile of the generator's send lag; absent in closed loop",
    ),
    Metric("windows", "1", "counter", "add", "generator", "Windows received from the generator"),
    Metric(
        "share",
        "1",
        "gauge",
        "last",
        "worker",
        "Part of the scheduled requests that were the worker's",
        whole=False,
    ),
    Metric("requests", "1", "counter", "add", "worker", "Requests that the worker sent"),
    Metric(
        "never_sent",
        "1",
        "counter",
        "add",
        "worker",
        "Lost requests never sent as far as known, overdue ones among them",
    ),
    Metric("unrecorded", "1", "counter", "add", "worker", "Lost requests sent, with no word of their end"),
    Metric("windows_missing", "1", "counter", "add", "generator", "Windows that never came"),
    _server_count("success_count", "Requests that the server says it answered with success"),
    _server_count("inference_count", "Inferences that the server says it made"),
    _server_count("execution_count", "Executions of the model"),
    _server_count("cache_hits", "Requests answered from the server's response cache"),
    Metric(
        "mean_executed_batch", "1", "gauge", "weighted", "server", "Inferences per execution", whole=False
    ),
    _server_time("queue_ns", "Mean time of a request in the server's queue"),
    _server_time("compute_input_ns", "Mean time of a request in preparing its inputs"),
    _server_time("compute_infer_ns", "Mean time of a request in the model"),
    _server_time("compute_output_ns", "Mean time of a request in preparing its outputs"),
    _server_time("network_client_ns", "Mean latency that the server does not account for"),
    _step("duration_ns", "ns", "Length of the measured trials together"),
    _step("trials", "1", "Measured trials"),
    _step("valid", "1", "1 if the measurement is valid, else 0"),
    _step("stable", "1", "1 if the trials agree, else 0; absent where nobody looked"),
    *_SENSORS,
)

PERCENTILES = {"p50": 50.0, "p90": 90.0, "p95": 95.0, "p99": 99.0, "p99.9": 99.9}
"""By name, those that every histogram has in every result."""

BY_NAME = {metric.name: metric for metric in METRICS}

STATISTICS = ("count", "sum", "min", "mean", "stddev", "p50", "p90", "p95", "p99", "p99.9", "max")
"""What is told of a histogram: all but the sum of a step, all but mean and deviation of a second."""

EDGES_NS = (
    *(round(digit * 10 ** (power - 1)) for power in range(4, 11) for digit in (10, 16, 25, 40, 63)),
    10**11,
)
"""Upper edges of the buckets in which latencies are counted: 10 µs to 100 s, five to a decade."""


def figure_name(histogram: str, statistic: str) -> str:
    """``latency_ns`` and ``p99.9`` make ``latency_p99_9_ns``; a count has no unit: ``latency_count``."""
    base = f"{histogram.removesuffix('_ns')}_{statistic.replace('.', '_')}"
    return base if statistic == "count" else f"{base}_ns"


def bucket_name(histogram: str, edge_ns: int) -> str:
    """``latency_le_2500us``: the requests that took no longer."""
    unit, size = ("ms", 10**6) if edge_ns % 10**6 == 0 else ("us", 10**3)
    return f"{histogram.removesuffix('_ns')}_le_{edge_ns // size}{unit}"


def names_of(scope: str) -> Sequence[str]:
    """The names of all metrics of one scope, in the order of the table."""
    return [metric.name for metric in METRICS if metric.scope == scope]
