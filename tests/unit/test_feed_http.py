"""The writer against a local HTTP server that answers as told: what goes out, what comes of it."""

from __future__ import annotations

import gzip
import json
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from triton_users.sinks.influx_answer import Refused, Unavailable
from triton_users.sinks.influx_target import InfluxTarget, TargetError
from triton_users.sinks.influx_write import NO_ORGANISATION, InfluxWriter

TOKEN = "t0ps3cret"


class Server:
    """Answers each write by ``answer``: (status, headers, body), or "cut", or "hang". With ``owners``, the
    organisations that have a bucket "load" which the token may read, it stands in for InfluxDB 2.7.12: by
    http/write_handler.go and tenant/http_server_bucket.go, and messages of tenant/error_org.go."""

    def __init__(self) -> None:
        self.answer: tuple[int, dict[str, str], bytes] | str = (204, {}, b"")
        self.owners: list[str] | None = None
        self.buckets = True
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        self.released = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.requests.append((self.path, dict(self.headers), body))
                if outer.answer == "hang":
                    outer.released.wait(20)
                if isinstance(outer.answer, str):
                    self.close_connection = True
                    self.connection.shutdown(socket.SHUT_RDWR)
                    return
                asked = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
                known = outer.owners is None or asked["org"] in outer.owners
                self._send(*(outer.answer if known else _not_found(asked["org"])))

            def do_GET(self) -> None:
                outer.requests.append((self.path, dict(self.headers), b""))
                name = parse_qs(urlsplit(self.path).query)["name"]
                found = [_bucket(owner) for owner in outer.owners or () if name == ["load"]]
                listed = {"buckets": found} if outer.buckets else {}
                text = json.dumps({"links": {"self": self.path}} | listed).encode()
                self._send(200, {"Content-Type": "application/json"}, text)

            def _send(self, status: int, headers: dict[str, str], text: bytes) -> None:
                self.send_response(status)
                for name, value in ({"Content-Length": str(len(text))} | headers).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_: Any) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,))
        self._thread.start()

    def close(self) -> None:
        self.released.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


def _not_found(organisation: str) -> tuple[int, dict[str, str], bytes]:
    message = f'organization name "{organisation}" not found'
    return (
        404,
        {"Content-Type": "application/json"},
        json.dumps({"code": "not found", "message": message}).encode(),
    )


def _bucket(owner: str) -> dict[str, Any]:
    place = "/api/v2/buckets/00112233445566aa"
    links = {"self": place, "org": f"/api/v2/orgs/{owner}", "write": f"/api/v2/write?org={owner}"}
    named = {"id": "00112233445566aa", "orgID": owner, "type": "user", "name": "load"}
    rules = [{"type": "expire", "everySeconds": 0, "shardGroupDurationSeconds": 604800}]
    return named | {"retentionRules": rules, "links": links, "labels": []}


@pytest.fixture
def server() -> Iterator[Server]:
    found = Server()
    yield found
    found.close()


@pytest.fixture
def writer(server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[InfluxWriter]:
    monkeypatch.setenv("INFLUXDB_TOKEN", TOKEN)
    found = InfluxWriter(InfluxTarget(server.url, "load", org="us"))
    yield found
    found.close()


def test_points_go_out_compressed_in_one_request_with_the_token_in_its_header(
    server: Server, writer: InfluxWriter
) -> None:
    assert writer.write(["a x=1i 1", "b x=2i 2"]) is None
    ((path, headers, body),) = server.requests
    assert path.startswith("/api/v2/write?") and "bucket=load" in path and "org=us" in path
    assert "precision=ns" in path and TOKEN not in path
    assert headers["Content-Encoding"] == "gzip" and gzip.decompress(body) == b"a x=1i 1\nb x=2i 2"
    assert headers["Authorization"] == f"Token {TOKEN}"


@pytest.mark.parametrize(
    ("answer", "reason", "after_s", "settings"),
    [
        ((429, {"Retry-After": "7"}, b""), "429", 7, False),
        ((503, {}, b'{"message": "busy"}'), "503, busy", None, False),
        ((500, {}, b"\xff\xfe"), "an answer that is no text", None, False),
        ((401, {}, b'{"message": "unauthorized"}'), "401, the token", None, True),
        ((307, {"Location": "http://127.0.0.1:9/"}, b""), "307", None, True),
        ("cut", "the connection was cut", None, False),
    ],
)
def test_each_answer_becomes_a_reason(
    server: Server, writer: InfluxWriter, answer: Any, reason: str, after_s: float | None, settings: bool
) -> None:
    server.answer = answer
    found = writer.write(["a x=1i 1"], 5.0)
    assert isinstance(found, Unavailable)
    assert found.reason.startswith(reason) and TOKEN not in found.reason
    assert (found.after_s, found.settings) == (after_s, settings)
    assert len(server.requests) == 1  # no retry of its own, and no redirect that takes the token along
    server.answer = (204, {}, b"")
    assert writer.write(["a x=1i 1"]) is None


def test_a_partial_write_is_refused(server: Server, writer: InfluxWriter) -> None:
    server.answer = (400, {}, b'{"message": "partial write: field type conflict dropped=1"}')
    assert writer.write(["a x=1i 1"]) == Refused(400, "partial write: field type conflict dropped=1", 1)


def test_a_database_that_hangs_is_left(server: Server, writer: InfluxWriter) -> None:
    server.answer = "hang"
    assert writer.write(["a x=1i 1"], 0.2) == Unavailable("no answer in time")


@pytest.mark.parametrize(
    ("url", "reason"),
    [("http://no-such-host.invalid:8086", "the host's name is unknown"), (None, "no connection")],
)
def test_nobody_there(url: str | None, reason: str) -> None:
    if url is None:
        with socket.create_server(("127.0.0.1", 0)) as unused:
            url = f"http://127.0.0.1:{unused.getsockname()[1]}"
    assert InfluxWriter(InfluxTarget(url, "load")).write(["a x=1i 1"], 2.0) == Unavailable(reason)


def test_a_token_that_is_put_right_is_read_again(server: Server, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("old\n")
    writer = InfluxWriter(InfluxTarget(server.url, "load", token_file=str(file)))
    server.answer = (401, {}, b"")
    writer.write(["a x=1i 1"])
    file.write_text("new\n")
    server.answer = (204, {}, b"")
    assert writer.write(["a x=1i 1"]) is None
    assert [headers["Authorization"] for _, headers, _ in server.requests] == ["Token old", "Token new"]
    writer.close()


def _missing(path: Path) -> None:
    path.unlink(missing_ok=True)


BAD_FILES: list[Callable[[Path], Any]] = [
    _missing,
    lambda path: path.write_text(""),
    lambda path: path.write_text("a\nb"),
    lambda path: path.write_bytes(b"\xff"),
    lambda path: path.write_text("t0ps3cr€t"),
    lambda path: path.write_text("t0p\x00s3cret"),
]


@pytest.mark.parametrize("spoil", BAD_FILES)
def test_a_token_file_that_is_none_is_told_by_its_name(tmp_path: Path, spoil: Callable[[Path], Any]) -> None:
    path = tmp_path / "token"
    spoil(path)
    with pytest.raises(TargetError, match=r"token") as raised:
        InfluxTarget("http://h", "load", token_file=str(path)).token()
    assert "t0p" not in str(raised.value)


def test_a_byte_order_mark_before_the_token_is_no_part_of_it(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_bytes(b"\xef\xbb\xbfme:secret word\r\n")
    assert InfluxTarget("http://h", "load", token_file=str(path)).token() == "me:secret word"


@pytest.mark.parametrize("token", ["\ufefft0ps3cret", "t0p\ns3cret", "t0ps3cr€t", "t0ps3crét"])
def test_a_token_of_the_environment_that_no_header_carries_is_told(
    server: Server, writer: InfluxWriter, monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    monkeypatch.setenv("INFLUXDB_TOKEN", token)
    found = writer.write(["a x=1i 1"])
    assert isinstance(found, Unavailable) and found.settings
    assert found.reason.startswith("INFLUXDB_TOKEN must hold one line") and "t0p" not in found.reason
    assert not server.requests


def test_without_a_token_there_is_no_header(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("INFLUXDB_TOKEN", raising=False)
    writer = InfluxWriter(InfluxTarget(server.url, "load"))
    assert writer.write(["a x=1i 1"]) is None
    assert "Authorization" not in server.requests[0][1]
    writer.close()


def without_organisation(server: Server, bucket: str = "load", org: str = "") -> InfluxWriter:
    return InfluxWriter(InfluxTarget(server.url, bucket, org=org))


def test_without_an_organisation_it_is_the_buckets_own(server: Server) -> None:
    server.owners = ["0a1b2c3d4e5f6071"]
    writer = without_organisation(server)
    assert writer.write(["a x=1i 1"]) is None
    assert writer.write(["a x=2i 2"]) is None
    organisations = [parse_qs(urlsplit(path).query).get("org") for path, _, _ in server.requests]
    assert organisations == [[NO_ORGANISATION], None, server.owners, server.owners]
    assert [body and gzip.decompress(body) for _, _, body in server.requests[2:]] == [
        b"a x=1i 1",
        b"a x=2i 2",
    ]
    writer.close()


@pytest.mark.parametrize("owners", [[], ["0a1b2c3d4e5f6071", "0a1b2c3d4e5f6072"]])
def test_where_that_cannot_be_told_the_option_is_named(server: Server, owners: list[str]) -> None:
    """The token may write to the bucket alone, or two organisations have one of this name."""
    server.owners = owners
    writer = without_organisation(server)
    answer = writer.write(["a x=1i 1"])
    assert isinstance(answer, Unavailable) and answer.settings
    assert (
        answer.reason.startswith('404, organization name "-" not found: give')
        and "--influx-org" in answer.reason
    )
    writer.close()


def test_an_answer_without_buckets_tells_no_organisation(server: Server) -> None:
    """As of something between us and the database, which answers whatever is asked with 200."""
    server.owners, server.buckets = ["0a1b2c3d4e5f6071"], False
    writer = without_organisation(server)
    answer = writer.write(["a x=1i 1"])
    assert isinstance(answer, Unavailable) and "--influx-org" in answer.reason
    writer.close()


def test_an_organisation_that_was_given_is_not_replaced(server: Server) -> None:
    server.owners = ["0a1b2c3d4e5f6071"]
    writer = without_organisation(server, org="elsewhere")
    answer = writer.write(["a x=1i 1"])
    assert isinstance(answer, Unavailable) and "--influx-org" in answer.reason
    assert len(server.requests) == 1
    writer.close()
