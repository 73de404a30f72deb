"""What is measured (Case), what comes out (Measurement) and who does it (Peer)."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from benchmarks.server import Server


class PeerError(Exception):
    """The peer gave no figures: it ended early, never started sending or answered something unreadable."""


@dataclass(frozen=True, slots=True)
class Case:
    """One load that every peer of ``peers`` is put under.

    ``in_flight`` requests at any time (closed loop), or ``rate`` Poisson arrivals per second (then
    ``in_flight`` is None). ``elements`` is the length of the FP32 input of a model with a variable
    dimension; ``payloads`` the number of distinct inputs. ``stretch`` lengthens the window for slow models.
    """

    name: str
    model: str
    peers: tuple[str, ...]
    in_flight: int | None = None
    rate: int | None = None
    realtime: bool = False
    elements: int | None = None
    payloads: int = 64
    stretch: float = 1.0
    once: bool = False


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds: load runs ``settle_s``, then ``window_s`` are counted, then ``tail_s`` more of load."""

    settle_s: float
    window_s: float
    tail_s: float = 1.0
    start_s: float = 30.0
    """Until the first request must have been answered."""
    end_s: float = 20.0
    """Until the peer must have ended by itself after its load; then it is made to."""
    memory_s: float = 120.0

    @property
    def load_s(self) -> float:
        return self.settle_s + self.window_s + self.tail_s

    def stretched(self, factor: float) -> Timing:
        return Timing(
            self.settle_s, self.window_s * factor, self.tail_s, self.start_s, self.end_s, self.memory_s
        )


@dataclass(frozen=True, slots=True)
class Measurement:
    """The figures of one peer in one round; None where the peer does not give one.

    ``requests_per_s`` is Triton's own success count over the window (h2load: its own over the run),
    ``cpu_us_per_request`` user and system time of the peer's process tree over the same span.
    ``server_mean_ns`` is what of the mean latency Triton had the request for, by its own account and over the
    same window: the rest is the client and the way.
    ``send_lag_p99_median_ns`` is the median over the seconds of the run of each second's p99.
    ``late_ratio`` is the share of the sent requests that left more than 1 ms after their arrival.
    """

    requests_per_s: float | None = None
    cpu_us_per_request: float | None = None
    cores: float | None = None
    mean_ns: float | None = None
    server_mean_ns: float | None = None
    p50_ns: float | None = None
    p99_ns: float | None = None
    send_lag_p50_ns: float | None = None
    send_lag_p99_ns: float | None = None
    send_lag_p99_median_ns: float | None = None
    late_ratio: float | None = None
    first_request_s: float | None = None
    rss_slope_mb_per_min: float | None = None
    rss_end_mb: float | None = None
    notes: tuple[str, ...] = field(default=())

    def as_dict(self) -> dict[str, Any]:
        return {key: value for key, value in asdict(self).items() if value not in (None, ())}


@dataclass(frozen=True, slots=True)
class Bench:
    """What a peer needs to run: the server, a folder of its own for files, and the timing."""

    server: Server
    folder: Path
    timing: Timing


class Peer(Protocol):
    name: str

    def run(self, case: Case, bench: Bench) -> Measurement:
        """Put the case's load on the server once. Bounded in time; nothing of it runs on afterwards.

        Raises PeerError, or ServerDeathError when Triton is gone.
        """
