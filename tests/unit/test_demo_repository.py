"""Building model repositories of demo models."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from triton_users import demo
from triton_users.demo import repository


def config_of(built: Path, model: str) -> model_config_pb2.ModelConfig:
    return text_format.Parse((built / model / "config.pbtxt").read_text(), model_config_pb2.ModelConfig())


def test_every_model_has_a_whole_configuration(tmp_path: Path) -> None:
    built = demo.build(tmp_path, demo.MODELS)
    assert {path.name for path in built.iterdir()} == set(demo.MODELS)
    for name in demo.MODELS:
        config = config_of(built, name)
        assert config.name == name
        assert config.backend == "python"
        assert len(config.instance_group) == 1, "Triton completes nothing: each says how many instances"
        compile((built / name / "1" / "model.py").read_text(), "model.py", "exec")
    assert list(config_of(built, "identity").input[0].dims) == [-1]
    assert list(config_of(built, "identity_16").input[0].dims) == [16]
    assert config_of(built, "identity").response_cache.enable
    assert config_of(built, "fixed_time").instance_group[0].count == 1
    assert not config_of(built, "espcn").HasField("dynamic_batching")


def test_a_second_build_uses_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = demo.build(tmp_path, ["identity", "espcn"])
    monkeypatch.setattr(repository, "_write_model", lambda *_: pytest.fail("built again"))
    assert demo.build(tmp_path, ["espcn", "identity", "espcn"]) == first
    assert [path.name for path in tmp_path.iterdir()] == [first.name]


def test_parameters_are_content(tmp_path: Path) -> None:
    message = 'a "quoted" text, a \\ and\na second line'
    plain = demo.build(tmp_path, ["failing"])
    built = demo.build(tmp_path, ["failing"], {"failing": {"message": message}})
    assert built != plain
    assert config_of(built, "failing").parameters["message"].string_value == message


def test_unknown_names_are_all_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no demo model resnet, vgg; there are espcn, identity"):
        demo.build(tmp_path, ["vgg", "espcn", "resnet"])
    assert not list(tmp_path.iterdir())


def test_several_at_once_agree(tmp_path: Path) -> None:
    built: list[Path] = []
    threads = [
        threading.Thread(target=lambda: built.append(demo.build(tmp_path, ["espcn"]))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(built) == 8
    assert len(set(built)) == 1
    assert [path.name for path in tmp_path.iterdir()] == [built[0].name]


def test_a_failed_build_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: Path) -> None:
        raise OSError("no space left")

    monkeypatch.setitem(
        demo.MODELS, "espcn", demo.catalogue.DemoModel("espcn", generated={"1/model.onnx": fail})
    )
    with pytest.raises(OSError, match="no space left"):
        demo.build(tmp_path, ["espcn"])
    assert not list(tmp_path.iterdir())


def test_the_default_root_is_the_users_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert demo.default_root() == Path("/somewhere/triton-users/models")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/somebody")
    assert demo.default_root() == Path("/home/somebody/.cache/triton-users/models")
