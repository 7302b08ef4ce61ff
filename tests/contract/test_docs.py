"""The documentation keeps up with the code: every rpc and setting is there, every example runs."""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

import spikewire
import spikewire.v1
from spikewire.cli.commands import spikewire as cli
from spikewire.v1 import spike_train_service_pb2, spike_train_service_pb2_grpc
from spikewire_server.command import spikewire_server
from spikewire_server.settings import Settings

TREE = Path(__file__).parents[2]
PAGES = [TREE / "README.md", *sorted((TREE / "docs").glob("*.md"))]
RPCS = [
    method.name
    for module in pkgutil.iter_modules(spikewire.v1.__path__)
    if module.name.endswith("_service_pb2")
    for service in importlib.import_module(
        f"spikewire.v1.{module.name}"
    ).DESCRIPTOR.services_by_name.values()
    for method in service.methods
]
FENCE = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)#]+)[^)]*\)")


def examples(page: Path, language: str) -> list[str]:
    return [code for kind, code in FENCE.findall(page.read_text("utf-8")) if kind == language]


@pytest.mark.parametrize("rpc", RPCS)
def test_every_rpc_is_in_the_protocol(rpc: str) -> None:
    assert f"`{rpc}`" in (TREE / "docs" / "protocol.md").read_text("utf-8")


@pytest.mark.parametrize("setting", [field.name for field in dataclasses.fields(Settings)])
def test_every_setting_is_in_operations(setting: str) -> None:
    page = (TREE / "docs" / "operations.md").read_text("utf-8")
    assert f"| `{setting}` |" in page
    assert f"`SPIKEWIRE_{setting.upper()}`" in page


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    links = [link for link in LINK.findall(page.read_text("utf-8")) if "://" not in link]
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_make_targets_exist(page: Path) -> None:
    targets = set(re.findall(r"^([\w-]+):", (TREE / "Makefile").read_text("utf-8"), re.MULTILINE))
    mentioned = set(re.findall(r"^make ([\w-]+)", "\n".join(examples(page, "bash")), re.MULTILINE))
    assert mentioned <= targets


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_and_their_flags_exist(page: Path) -> None:
    text = "\n".join(examples(page, "bash")).replace("\\\n", " ")
    for line in text.splitlines():
        program, *words = shlex.split(line) or [""]
        if program == "spikewire-server":
            known = {flag for option in spikewire_server.params for flag in option.opts}
        elif program == "spikewire":
            known = {flag for option in cli.commands[words[0]].params for flag in option.opts}
        else:
            continue
        assert {word for word in words if word.startswith("--")} <= known, line


@pytest.fixture
def address(new_server: Callable[..., Any]) -> str:
    """A server with the sorting that the pages speak of."""
    address: str = new_server().address
    with spikewire.connect(address) as client:
        client.upload(sorting_with_all_kinds_of_gaps(), "rat7/probe0")
    return address


def sorting_with_all_kinds_of_gaps() -> spikewire.NumpySorting:
    random = np.random.default_rng(0)
    samples = np.cumsum(random.integers(0, 40, 5_000))
    samples[2_500:] += 2**40  # too wide for the width of the others
    labels = random.integers(0, 9, len(samples))
    return spikewire.NumpySorting.from_samples_and_labels([samples], [labels], 30_000.0)


@pytest.mark.parametrize(
    "page", [page for page in PAGES if examples(page, "python")], ids=lambda page: page.name
)
def test_python_examples_run(page: Path, tmp_path: Path, address: str) -> None:
    """All examples of a page, one after the other, in one folder, against one server."""
    code = "\n".join(examples(page, "python")).replace("localhost:7745", address)
    subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=tmp_path, check=True)


def test_the_decoder_of_the_protocol_page_is_right(address: str) -> None:
    (code,) = examples(TREE / "docs" / "protocol.md", "python")
    page: dict[str, Any] = {}
    exec(code.partition("\nstub = ")[0], page)
    request = spike_train_service_pb2.StreamSpikesRequest(name="rat7/probe0")
    with grpc.insecure_channel(address) as channel:
        stub = spike_train_service_pb2_grpc.SpikeTrainServiceStub(channel)
        chunks = [chunk for message in stub.StreamSpikes(request) for chunk in message.chunks]
    assert any(chunk.exception_count for chunk in chunks)
    samples, units = map(np.concatenate, zip(*map(page["decode_spikes"], chunks), strict=True))
    spikes = sorting_with_all_kinds_of_gaps().to_spike_vector()
    np.testing.assert_array_equal(samples, spikes["sample_index"])
    np.testing.assert_array_equal(units, spikes["unit_index"])
