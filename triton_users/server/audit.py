"""The audit: did the server count what we counted?"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from triton_users.server.statistics import Split


@dataclass(frozen=True, slots=True)
class Audit:
    """Our count of successful requests beside the server's; likewise inferences.

    ``equal`` is None when the audit was skipped, and ``skipped`` then says why. ``server_inferences`` is the
    server's inference_count, which leaves out those that its response cache answered.
    """

    ours: int
    server: int
    ours_inferences: int
    server_inferences: int
    equal: bool | None
    skipped: str | None = None


def audit(
    ours_ok: int,
    ours_inferences: int,
    split: Split,
    *,
    batch_sizes: Collection[int] = (1,),
    ours_failed: int = 0,
    skipped: str | None = None,
) -> Audit:
    """Compare ours with one model's split over the same time, from idle to idle.

    Exact when all requests had one batch size and none failed. The server does not say how many inferences
    were in its cache hits, so that with several ``batch_sizes`` these only bound them; and it counts an error
    that a Python model made for one request as a success, so that up to ``ours_failed`` more successes are no
    fault. ``skipped`` is the reason not to compare (others use the server, deadlines were lost).

    Triton reports after it has answered: the caller reads again, for up to 2 s, while this is unequal.
    """
    smallest, largest = (min(batch_sizes), max(batch_sizes)) if batch_sizes else (1, 1)
    extra = split.success_count - ours_ok
    least = split.inference_count + split.cache_hits * smallest - extra * largest
    most = split.inference_count + split.cache_hits * largest - extra * smallest
    equal = 0 <= extra <= ours_failed and least <= ours_inferences <= most
    return Audit(
        ours=ours_ok,
        server=split.success_count,
        ours_inferences=ours_inferences,
        server_inferences=split.inference_count,
        equal=None if skipped else equal,
        skipped=skipped,
    )
