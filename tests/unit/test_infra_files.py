"""What infra/ and Grafana's provisioning hold: by schema and lint, pinned, on loopback, without a secret."""

from __future__ import annotations

import ast
import json
import os
import re
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from triton_users.options import OPTIONS
from triton_users.version import VERSION

ROOT = Path(__file__).parents[2]
INFRA = ROOT / "infra"
BIN = Path(sys.executable).parent
COMPOSE = INFRA / "compose.yaml"
DOCKERFILES = sorted((INFRA / "docker").glob("*Dockerfile"))
MANIFESTS = sorted(
    path for path in (INFRA / "kubernetes").glob("*.yaml") if path.name != "kustomization.yaml"
)
PROVISIONING = ROOT / "grafana" / "provisioning"
FILES = sorted(
    path
    for folder in (INFRA, PROVISIONING)
    for path in folder.rglob("*")
    if path.is_file() and path.name != ".env" and "__pycache__" not in path.parts
)
PINNED = re.compile(r"[\w./-]+:\d+\.\d+(\.\d+)?[\w.-]*")
SECRET = re.compile(
    r"(?i)(token|password|secret|key)[\w\"']*\s*[:=]\s*[\"']?(?![$<{\[(])[A-Za-z0-9_+/-]{20,}"
)


def loaded(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


COMPOSED: dict[str, Any] = loaded(COMPOSE)
SERVICES: dict[str, Any] = COMPOSED["services"]
OBJECTS: dict[str, Any] = {path.stem: loaded(path) for path in MANIFESTS}


def by_schema(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(BIN / "check-jsonschema"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


# compose


def test_compose_files_follow_the_specification() -> None:
    files = [str(COMPOSE), str(INFRA / "compose.gpu.yaml")]
    found = by_schema("--builtin-schema", "vendor.compose-spec", *files)
    assert found.returncode == 0, found.stdout + found.stderr


def test_compose_publishes_on_loopback_alone() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert len(ports) == 6
    assert [port for port in ports if not str(port).startswith("127.0.0.1:")] == []
    assert [name for name, service in SERVICES.items() if service.get("network_mode")] == []


def test_compose_networks_have_addresses_of_their_own() -> None:
    (network,) = COMPOSED["networks"].values()
    (config,) = network["ipam"]["config"]
    assert re.match(r"198\.(18|19)\.", config["subnet"])
    assert all(service["networks"] == ["load"] for service in SERVICES.values())


def test_compose_waits_for_health() -> None:
    for name, service in SERVICES.items():
        for other, how in service.get("depends_on", {}).items():
            if how["condition"] == "service_healthy":
                assert "healthcheck" in SERVICES[other], f"{name} waits for {other}"
    assert {name for name, service in SERVICES.items() if "healthcheck" not in service} == {"models"}


def test_no_command_ends_all_services_with_the_first_that_ends() -> None:
    """``models`` only fills a volume: an option that stops the others with it would end a run before its
    first request, and with the first worker that is killed. ``--exit-code-from`` implies that one."""
    waits = [link["condition"] for link in SERVICES["triton"]["depends_on"].values()]
    assert waits == ["service_completed_successfully"]
    text = (INFRA / "README.md").read_text()
    assert "--exit-code-from" not in text and "--abort-on-container-exit" not in text
    headless = text[text.index('LOAD_OPTIONS="--headless') :].split("```")[0]
    assert "up --build --detach" in headless and "docker wait" in headless


def test_compose_secrets_come_from_the_env_file() -> None:
    settings = [
        (name, value)
        for service in SERVICES.values()
        for name, value in service.get("environment", {}).items()
        if re.search(r"TOKEN|PASSWORD", name)
    ]
    assert len(settings) == 6
    assert [name for name, value in settings if not re.fullmatch(r"\$\{\w+:\?[^}]+\}", value)] == []


def test_the_master_is_given_options_that_exist() -> None:
    names = {flag for option in OPTIONS for flag in option.flags} | {"-f", "-H", "--master"}
    used = re.findall(r"(?<![\w-])--?[a-z][a-z-]*", re.sub(r"\$\{[^}]*\}", "", SERVICES["master"]["command"]))
    assert sorted(set(used) - names) == []
    assert "INFLUXDB_TOKEN" in SERVICES["master"]["environment"]


def test_master_and_workers_can_write_their_results() -> None:
    """Their root is read-only, and a worker saves requests where the image's LOCUST_RESULTS says."""
    assert "LOCUST_RESULTS=/results" in (INFRA / "docker" / "Dockerfile").read_text()
    for name in ("master", "worker"):
        assert SERVICES[name]["volumes"] == ["results:/results"]
        (container,) = OBJECTS[name]["spec"]["template"]["spec"]["containers"]
        assert "/results" in {mount["mountPath"] for mount in container["volumeMounts"]}


def test_without_a_gpu_nothing_asks_for_one() -> None:
    assert "nvidia" not in COMPOSE.read_text().replace("nvcr", "")


def test_with_gpus_triton_computes_on_them_and_the_masters_agent_sees_them() -> None:
    """NVML comes with the capability "utility" alone."""
    reserved = {
        name: service["deploy"]["resources"]["reservations"]["devices"]
        for name, service in loaded(INFRA / "compose.gpu.yaml")["services"].items()
    }
    every = {"driver": "nvidia", "count": "all"}
    assert reserved == {
        "triton": [every | {"capabilities": ["gpu"]}],
        "master": [every | {"capabilities": ["gpu", "utility"]}],
    }
    assert "[agent" in (INFRA / "docker" / "Dockerfile").read_text()


def test_there_are_workers_without_asking_for_them() -> None:
    assert SERVICES["worker"]["deploy"] == {"replicas": 2}


# images


@pytest.mark.parametrize("path", DOCKERFILES, ids=named)
def test_dockerfiles_pass_the_lint(path: Path) -> None:
    found = subprocess.run([str(BIN / "hadolint"), str(path)], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout + found.stderr


@pytest.mark.parametrize("path", DOCKERFILES, ids=named)
def test_an_image_runs_as_nobody_special(path: Path) -> None:
    users = re.findall(r"^USER (\d+)", path.read_text(), re.M)
    assert users
    assert users[-1] != "0"


def images() -> Iterator[str]:
    """All that are named, wherever."""
    for path in DOCKERFILES:
        yield from re.findall(r"^ARG \w+_IMAGE=(\S+)", path.read_text(), re.M)
    yield from (service["image"] for service in SERVICES.values())
    for text in (path.read_text() for path in MANIFESTS):
        yield from re.findall(r"^\s*image: (\S+)", text, re.M)


def test_every_image_is_pinned() -> None:
    found = set(images())
    assert len(found) >= 6
    assert sorted(image for image in found if not PINNED.fullmatch(image)) == []


def test_our_own_image_has_our_version() -> None:
    ours = {image for image in images() if image.startswith("triton-users:")}
    assert ours == {f"triton-users:{VERSION}"}
    (image,) = loaded(INFRA / "kubernetes" / "kustomization.yaml")["images"]
    assert image == {"name": "triton-users", "newTag": VERSION}


def test_an_image_takes_the_lock_and_nothing_that_is_ours_alone() -> None:
    text = (INFRA / "docker" / "Dockerfile").read_text()
    assert "--constraint" in text
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert ignored[1] == "*"
    copied = {word for line in re.findall(r"^COPY (?!--from)(.+)$", text, re.M) for word in line.split()[:-1]}
    assert sorted(f"!{word}" for word in copied if f"!{word}" not in ignored) == []


def test_stand_ins_compile_and_carry_the_names_of_the_real_images() -> None:
    folder = INFRA / "compose_test" / "standins"
    for path in folder.glob("*.py"):
        ast.parse(path.read_text())
    text = (INFRA / "compose_test" / "__main__.py").read_text()
    wanted = {service["image"] for service in SERVICES.values()}
    assert sorted(image for image in wanted if image not in text) == []


# Kubernetes


@pytest.mark.parametrize("name", sorted(OBJECTS))
def test_manifests_follow_the_schema(name: str) -> None:
    kubernetes_validate.validate(OBJECTS[name], kubernetes_validate.latest_version(), strict=True)


def test_kustomize_names_every_manifest() -> None:
    kustomization = loaded(INFRA / "kubernetes" / "kustomization.yaml")
    assert sorted(kustomization["resources"]) == [path.name for path in MANIFESTS]


@pytest.mark.parametrize("name", ["master", "worker"])
def test_pods_are_confined_sized_and_probed(name: str) -> None:
    pod = OBJECTS[name]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert {"requests", "limits"} <= set(container["resources"])
    assert "readinessProbe" in container
    assert "livenessProbe" not in container  # it would restart a run


def test_manifests_find_each_other() -> None:
    labels = OBJECTS["master"]["spec"]["template"]["metadata"]["labels"]
    service = OBJECTS["service"]
    assert service["spec"]["selector"] == labels
    worker = OBJECTS["worker"]["spec"]
    assert worker["selector"]["matchLabels"] == worker["template"]["metadata"]["labels"]
    (container,) = worker["template"]["spec"]["containers"]
    assert container["args"][-1] == service["metadata"]["name"]
    assert OBJECTS["config"]["data"]["LOCUST_EXPECT_WORKERS"] == str(worker["replicas"])
    (master,) = OBJECTS["master"]["spec"]["template"]["spec"]["containers"]
    assert master["envFrom"] == [{"configMapRef": {"name": OBJECTS["config"]["metadata"]["name"]}}]
    assert "Secret" not in {found["kind"] for found in OBJECTS.values()}


def test_the_configuration_is_of_options_that_exist() -> None:
    known = {option.env_var for option in OPTIONS}
    known |= {
        f"LOCUST_{name}" for name in ("LOCUSTFILE", "HOST", "EXPECT_WORKERS", "EXPECT_WORKERS_MAX_WAIT")
    }
    names = set(re.findall(r"LOCUST_[A-Z_]+(?=:)", (INFRA / "kubernetes" / "config.yaml").read_text()))
    assert sorted(names - known) == []


def test_a_list_in_the_environment_is_read_as_one(tmp_path: Path) -> None:
    """The configuration as the master reads it, up to the point where the server would be needed."""
    data = OBJECTS["config"]["data"] | {"LOCUST_HOST": "127.0.0.1:1", "LOCUST_WAIT_READY": "0"}
    found = subprocess.run(
        [sys.executable, "-m", "locust", "--headless", "--dry-run", "--results", str(tmp_path)],
        env=os.environ | data,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    said = found.stdout + found.stderr
    assert "Traceback" not in said
    assert "--shape" not in said, said  # no fault was found in it


# Grafana


@pytest.mark.parametrize("kind", ["datasources", "dashboards"])
def test_provisioning_has_only_what_grafana_reads(kind: str, tmp_path: Path) -> None:
    schema = ("--schemafile", str(ROOT / f"tests/schemas/grafana-{kind}.json"))
    files = sorted((PROVISIONING / kind).iterdir())
    assert files
    found = by_schema(*schema, *map(str, files))
    assert found.returncode == 0, found.stdout + found.stderr
    slip = tmp_path / "slip.yaml"
    slip.write_text(files[0].read_text().replace("type: ", "typ: "))
    assert by_schema(*schema, str(slip)).returncode == 1


def test_grafana_is_given_its_data_source_and_dashboards() -> None:
    found = loaded(PROVISIONING / "datasources" / "influxdb.yaml")
    (source,) = found["datasources"]
    assert found["apiVersion"] == 1
    assert (source["type"], source["isDefault"]) == ("influxdb", True)
    bucket = SERVICES["influxdb"]["environment"]["DOCKER_INFLUXDB_INIT_BUCKET"]
    assert source["jsonData"]["dbName"] == bucket
    assert f"--influx-bucket {bucket} " in SERVICES["master"]["command"]
    assert (source["basicAuth"], source["basicAuthUser"]) == (True, "${INFLUXDB_READER}")
    assert source["secureJsonData"] == {"basicAuthPassword": "${INFLUXDB_READER_PASSWORD}"}
    (provider,) = loaded(PROVISIONING / "dashboards" / "triton-users.yaml")["providers"]
    mounts = dict(volume.split(":")[:2] for volume in SERVICES["grafana"]["volumes"])
    assert mounts["../grafana/dashboards"] == provider["options"]["path"]
    assert mounts["../grafana/provisioning"] == "/etc/grafana/provisioning"


def test_grafana_may_only_read() -> None:
    grafana, influxdb = (SERVICES[name]["environment"] for name in ("grafana", "influxdb"))
    reader = ("INFLUXDB_READER", "INFLUXDB_READER_PASSWORD")
    assert [grafana[name] for name in reader] == [influxdb[name] for name in reader]
    assert "INFLUXDB_TOKEN" not in grafana
    script = INFRA / "docker" / "influxdb" / "grafana-user.sh"
    assert os.access(script, os.X_OK)
    assert "./docker/influxdb:/docker-entrypoint-initdb.d:ro" in SERVICES["influxdb"]["volumes"]
    given = set(re.findall(r"\$(\w+)", script.read_text())) - {
        "DOCKER_INFLUXDB_INIT_BUCKET_ID"
    }  # the image's
    assert given <= influxdb.keys()


def test_dashboards_may_refresh_every_second() -> None:
    assert SERVICES["grafana"]["environment"]["GF_DASHBOARDS_MIN_REFRESH_INTERVAL"] == "1s"
    for path in (ROOT / "grafana" / "dashboards").glob("*.json"):
        assert json.loads(path.read_text())["uid"]


# Secrets


def test_make_env_writes_random_secrets_for_the_owner_alone(tmp_path: Path) -> None:
    written = []
    for name in ("one", "two"):
        path = tmp_path / name
        subprocess.run([sys.executable, str(INFRA / "make-env"), str(path)], check=True, capture_output=True)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        written.append(dict(line.split("=") for line in path.read_text().split()))
    wanted = set(re.findall(r"\$\{(\w+):\?", COMPOSE.read_text()))
    assert wanted <= set(written[0])
    assert all(len(written[0][name]) >= 40 and written[0][name] != written[1][name] for name in wanted)
    again = subprocess.run(
        [sys.executable, str(INFRA / "make-env"), str(tmp_path / "one")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert again.returncode == 1
    assert dict(line.split("=") for line in (tmp_path / "one").read_text().split()) == written[0]


def test_env_files_stay_out_of_the_repository() -> None:
    assert ".env" in (ROOT / ".gitignore").read_text().splitlines()
    assert os.access(INFRA / "make-env", os.X_OK)


def test_no_secret_stands_in_the_tree() -> None:
    found = [f"{named(path)}: {match[0]}" for path in FILES for match in SECRET.finditer(path.read_text())]
    assert found == []


# Sizes


def test_files_and_functions_stay_small() -> None:
    for path in FILES:
        assert len(path.read_text().splitlines()) <= 400, named(path)
    for path in (path for path in FILES if path.suffix == ".py" or path.name == "make-env"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef):
                assert (node.end_lineno or 0) - node.lineno < 60, f"{named(path)} {node.name}"
