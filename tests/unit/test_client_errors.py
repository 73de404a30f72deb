"""What goes wrong, in tritonclient's words, and without a secret in any of them."""

from __future__ import annotations

from typing import Any

import pytest

import triton_users.client as ours
from triton_users.client.transport import header_pairs


class FaultError(Exception):
    def __init__(self, status: str, message: str) -> None:
        super().__init__(status)
        self.status, self.message = status, message


class Failing:
    def __init__(self, error: Exception) -> None:
        self.error = error
        self.closed = 0

    def call(self, *_: Any) -> bytes:
        raise self.error

    def close(self) -> None:
        self.closed += 1


def failing(error: Exception, **options: Any) -> ours.InferenceServerClient:
    return ours.InferenceServerClient("nowhere:1", channel=Failing(error), **options)


def test_a_status_is_told_as_tritonclient_tells_it() -> None:
    client = failing(FaultError("UNAVAILABLE", "nobody there"))
    for call in (client.is_server_live, lambda: client.infer("m", [])):
        with pytest.raises(ours.InferenceServerException) as caught:
            call()
        assert caught.value.status() == "StatusCode.UNAVAILABLE"
        assert caught.value.message() == "nobody there"
        assert str(caught.value) == "[StatusCode.UNAVAILABLE] nobody there"


def test_other_exceptions_pass() -> None:
    client = failing(ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        client.infer("m", [])
    with pytest.raises(ZeroDivisionError):
        client.is_server_ready()


@pytest.mark.parametrize("value", ["s3cret\n", "s3crét", b"s3cret\x00", 53])
def test_a_bad_header_is_named_and_its_value_is_not(value: Any) -> None:
    with pytest.raises(ours.InferenceServerException) as caught:
        header_pairs({"Authorization": value})
    assert "'Authorization'" in str(caught.value)
    assert "s3cr" not in str(caught.value) and "53" not in str(caught.value)


def test_headers_as_grpc_sends_them() -> None:
    assert header_pairs({"X-Trace": "a b", "key-BIN": b"\x00\x01"}) == (
        (b"x-trace", b"a b"),
        (b"key-bin", b"AAE"),
    )
    with pytest.raises(ours.InferenceServerException, match="not a name"):
        header_pairs({"a b": ""})


def test_verbose_shows_names_only(capsys: pytest.CaptureFixture[str]) -> None:
    client = failing(FaultError("INTERNAL", ""), verbose=True)
    for call in (client.is_server_live, lambda headers: client.infer("m", [], headers=headers)):
        with pytest.raises(ours.InferenceServerException):
            call(headers={"authorization": "s3cret"})
    out = capsys.readouterr().out
    assert out == "ServerLive, headers: authorization\nModelInfer, headers: authorization\n"


def test_a_plugin_adds_headers() -> None:
    class Token(ours.InferenceServerClientPlugin):  # type: ignore[misc]
        def __call__(self, request: ours.Request) -> None:
            request.headers["authorization"] = "t"

    sent: list[Any] = []

    class Keeping(Failing):
        def call(self, *args: Any) -> bytes:
            sent.append(args[3])
            return b""

    client = ours.InferenceServerClient("nowhere:1", channel=Keeping(FaultError("", "")))
    client.infer("m", [])
    client.register_plugin(Token())
    client.infer("m", [])
    client.is_server_live(headers={"a": "b"})
    assert sent == [(), ((b"authorization", b"t"),), ((b"a", b"b"), (b"authorization", b"t"))]


def test_what_is_not_there_yet_says_so() -> None:
    for options in ({"ssl": True}, {"creds": object()}):
        with pytest.raises(ours.InferenceServerException, match="TLS is not supported yet"):
            ours.InferenceServerClient("nowhere:1", **options)
    client = failing(FaultError("", ""))
    with pytest.raises(ours.InferenceServerException, match="streams are not supported yet"):
        client.start_stream(print)
    with pytest.raises(ours.InferenceServerException, match="streams are not supported yet"):
        client.async_stream_infer("m", [])
    client.stop_stream()


def test_only_an_own_channel_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[tuple[str, Failing]] = []

    def open_channel(url: str) -> Failing:
        opened.append((url, Failing(FaultError("", ""))))
        return opened[-1][1]

    monkeypatch.setattr("triton_users.client.client.open_channel", open_channel)
    with ours.InferenceServerClient("host:8001", keepalive_options=ours.KeepAliveOptions()):
        pass
    ((url, channel),) = opened
    assert (url, channel.closed) == ("host:8001", 1)
    given = Failing(FaultError("", ""))
    ours.InferenceServerClient("host:8001", channel=given).close()
    assert given.closed == 0
