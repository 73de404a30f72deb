"""Which options exclude each other, and whose word counts: what the user gives, before the user class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from triton_users.options.faults import Fault
from triton_users.units import format_duration

RANGES = ("concurrency", "request_rates")


@dataclass(frozen=True, slots=True)
class Layers:
    """Parsed values by the name of their field in Settings."""

    given: dict[str, Any]
    user_class: dict[str, Any]


def resolve(layers: Layers, filled_in_users: int | None, faults: list[Fault]) -> dict[str, Any]:
    """One value for each field that is not the table's default; impossible combinations join ``faults``."""
    given, of_class = dict(layers.given), dict(layers.user_class)
    if filled_in_users is None:
        _users_or_range(given, faults)
    else:
        _forget_filled_in_users(given, of_class, filled_in_users)
        _users_or_range(given, faults)
    _drop_overruled(given, of_class)
    chosen = of_class | given
    if "batch_sizes" in chosen and "batch_mix" in chosen:
        faults.append(
            Fault(
                "--batch-mix",
                "the batch size is either drawn (--batch-mix) or measured in turn (--batch-size)",
                "leave out one of the two",
            )
        )
    _percent_needs_concurrency(chosen, faults)
    _shape_once(chosen, faults)
    _url_and_bucket(chosen, faults)
    _time_to_measure(chosen, faults)
    return chosen


def _users_or_range(given: dict[str, Any], faults: list[Fault]) -> None:
    ranges = [field for field in RANGES if field in given]
    if ranges and "users" in given:
        faults.append(
            Fault(
                "--users",
                f"-u {given['users']} asks for one step, a range asks for its own",
                f"leave out -u, or the range, or write --concurrency-range {given['users']}",
            )
        )
    if "spawn_rate" in given and (ranges or "users" not in given):
        faults.append(
            Fault(
                "--spawn-rate",
                "-r is how fast Locust starts the users of -u, and a range has no use for it"
                if ranges
                else "-r is how fast Locust starts the users of -u, which is not given",
                "leave out -r (Perf Analyzer's -r, --max-trials, does not exist here)",
            )
        )
    if "users" not in given or ranges:
        return
    if len(given.get("batch_sizes", ())) > 1:
        faults.append(
            Fault(
                "--batch-size",
                "a step at -u lasts until -t, so there is no second batch size",
                f"give one batch size, or --concurrency-range {given['users']} instead of -u",
            )
        )
    if "interval_ns" in given:
        faults.append(
            Fault(
                "--measurement-interval",
                "a step at -u lasts until -t",
                f"give -t, or --concurrency-range {given['users']} instead of -u",
            )
        )


def _forget_filled_in_users(given: dict[str, Any], of_class: dict[str, Any], filled_in: int) -> None:
    """The form always has a number of users; where it stands untouched beside a plan, or beside a range, that
    was meant."""
    planned = len(given.get("batch_sizes", ())) > 1 or "interval_ns" in given
    untouched = given.get("users") == filled_in and (planned or any(field in of_class for field in RANGES))
    if untouched or any(field in given for field in RANGES):
        given.pop("users", None)
        given.pop("spawn_rate", None)


def _drop_overruled(given: dict[str, Any], of_class: dict[str, Any]) -> None:
    """A user who gives a part of the plan replaces the user class's plan, not a half of it."""
    if "users" in given:
        for field in RANGES:
            of_class.pop(field, None)
        if "batch_sizes" in of_class:
            of_class["batch_sizes"] = of_class["batch_sizes"][:1]
    if "concurrency" in given:
        of_class.pop("request_rates", None)
    elif "request_rates" in given and not any(rate.percent for rate in given["request_rates"]):
        of_class.pop("concurrency", None)
    if "batch_sizes" in given:
        of_class.pop("batch_mix", None)
    if "batch_mix" in given:
        of_class.pop("batch_sizes", None)


def _percent_needs_concurrency(chosen: dict[str, Any], faults: list[Fault]) -> None:
    share = next((rate.value for rate in chosen.get("request_rates", ()) if rate.percent), None)
    if share is not None and not chosen.get("concurrency"):
        faults.append(
            Fault(
                "--request-rate-range",
                f"{share:g}% is a share of the best closed-loop rate, and no concurrency is given",
                "give --concurrency-range too, or rates per second",
            )
        )


def _time_to_measure(chosen: dict[str, Any], faults: list[Fault]) -> None:
    warm_up, run_time = chosen.get("warm_up_ns"), chosen.get("run_time_ns")
    if warm_up is not None and run_time is not None and warm_up >= run_time:
        faults.append(
            Fault(
                "--run-time",
                f"{format_duration(run_time)} are over before the warm-up of {format_duration(warm_up)} is",
                "give a longer -t, or a shorter --warm-up",
            )
        )


def _shape_once(chosen: dict[str, Any], faults: list[Fault]) -> None:
    mixed = {name for shapes, _ in chosen.get("shape_mix", ()) for name, _ in shapes}
    for name, _ in chosen.get("shapes", ()):
        if name in mixed:
            faults.append(
                Fault(
                    "--shape",
                    f"the shape of {name!r} is drawn by --shape-mix",
                    "leave it out of one of the two",
                )
            )


def _url_and_bucket(chosen: dict[str, Any], faults: list[Fault]) -> None:
    """Neither says enough without the other."""
    options = {"influx_url": "--influx-url", "influx_bucket": "--influx-bucket"}
    missing = [option for field, option in options.items() if field not in chosen]
    given = [option for field, option in options.items() if field in chosen]
    if missing and given:
        faults.append(Fault(missing[0], f"{given[0]} is given without it", f"give {missing[0]} too"))
