"""The database that a run is written to, from its settings."""

from __future__ import annotations

from triton_users.options.settings import Settings
from triton_users.run.errors import RunError
from triton_users.sinks.influx_target import InfluxTarget, TargetError


def influx_target(settings: Settings) -> InfluxTarget | None:
    """None where the run goes to no database."""
    if settings.influx_url is None or settings.influx_bucket is None:
        return None
    return InfluxTarget(
        url=settings.influx_url,
        bucket=settings.influx_bucket,
        org=settings.influx_org,
        token_file=settings.influx_token_file,
        drain_ns=settings.influx_drain_ns,
    )


def check_token(settings: Settings) -> None:
    """A token file that cannot be read is a fault of the options. Raises RunError."""
    target = influx_target(settings)
    if target is not None:
        try:
            target.token()
        except TargetError as error:
            raise RunError(str(error)) from error
