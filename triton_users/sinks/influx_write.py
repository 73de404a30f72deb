"""Writes points to InfluxDB by influxdb-client: one request at a time, no thread, no retry of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from influxdb_client.client.influxdb_client import InfluxDBClient
from influxdb_client.client.write_api import SYNCHRONOUS, WriteApi
from influxdb_client.rest import ApiException
from urllib3 import exceptions

from triton_users.sinks.influx_answer import Answer, Unavailable, answer_of, lacks_organisation
from triton_users.sinks.influx_target import InfluxTarget, TargetError

CONNECT_S = 3.0
TIMEOUT_S = 10.0
NO_ORGANISATION = "-"
"""1.8 ignores it, and 2 wants one that is not empty."""

_REASONS: tuple[tuple[type[Exception], str], ...] = (
    (exceptions.NameResolutionError, "the host's name is unknown"),
    (exceptions.NewConnectionError, "no connection"),
    (exceptions.ConnectTimeoutError, "no connection in time"),
    (exceptions.ReadTimeoutError, "no answer in time"),
    (exceptions.SSLError, "TLS failed"),
    (exceptions.ProtocolError, "the connection was cut"),
    (exceptions.HTTPError, "the request failed"),
    (OSError, "the connection failed"),
)


class InfluxWriter:
    """Writes lines of line protocol to ``target``. Nothing raises but ``open`` (TargetError)."""

    def __init__(self, target: InfluxTarget) -> None:
        self._target = target
        self._organisation = target.org or NO_ORGANISATION
        self._client: InfluxDBClient | None = None
        self._api: WriteApi | None = None

    def open(self) -> None:
        """Read the token and make the client, anew if there was one; connects to nothing yet."""
        token = self._target.token()
        self.close()
        client = InfluxDBClient(
            url=self._target.url,
            token=token or "",
            org=self._organisation,
            enable_gzip=True,
        )
        self._client, self._api = client, client.write_api(write_options=SYNCHRONOUS)

    def close(self) -> None:
        """Close the connection. Twice does no harm."""
        if self._client is not None:
            self._client.close()  # type: ignore[no-untyped-call]  # the client's own annotations end here
            self._client = self._api = None

    def write(self, lines: Sequence[str], timeout_s: float = TIMEOUT_S) -> Answer:
        """One request with all ``lines``, at most ``timeout_s`` from start to end (but for a slow answer's
        single reads). The first one to an InfluxDB 2 whose organisation was not given takes three."""
        try:
            try:
                self._write(lines, timeout_s)
            except ApiException as error:
                if not self._finds_organisation(error):
                    raise
                self._write(lines, timeout_s)
        except TargetError as error:
            return Unavailable(str(error), settings=True)
        except ApiException as error:
            return self._refusal(error)
        except (exceptions.HTTPError, OSError) as error:
            return Unavailable(next(text for kind, text in _REASONS if isinstance(error, kind)))
        except UnicodeDecodeError:  # the client reads every answer as UTF-8
            return Unavailable("an answer that is no text: is this InfluxDB?")
        return None

    def _write(self, lines: Sequence[str], timeout_s: float) -> None:
        if self._client is None or self._api is None:
            self.open()
        assert self._client is not None and self._api is not None
        self._client.conf.timeout = (int(min(CONNECT_S, timeout_s) * 1000), int(timeout_s * 1000))
        # Its precision is nanoseconds unless told otherwise.
        self._api.write(self._target.bucket, self._organisation, "\n".join(lines).encode())

    def _finds_organisation(self, error: ApiException) -> bool:
        """Whether ``error`` is for want of an organisation, and the bucket's own is known now: it is, where
        the token may read the bucket, and no other organisation has one of this name."""
        if self._organisation != NO_ORGANISATION or not lacks_organisation(
            error.status or 0, error.body or ""
        ):
            return False
        assert self._client is not None
        api = self._client.buckets_api()
        try:
            found = api.find_buckets(name=self._target.bucket).buckets  # type: ignore[no-untyped-call]
        except (ApiException, ValueError):  # refused, or not what the client expects
            return False
        owners = {bucket.org_id for bucket in found or ()}  # None: an answer from something between us
        if len(owners) == 1:
            (self._organisation,) = owners
        return len(owners) == 1

    def _refusal(self, error: ApiException) -> Answer:
        if not error.status:
            return Unavailable("TLS failed")
        headers: Mapping[str, str] = error.headers or {}
        answer = answer_of(error.status, error.body or "", headers.get("Retry-After"))
        if isinstance(answer, Unavailable) and answer.settings:
            self.close()  # the next attempt reads the token again: someone may have put it right
        return answer
