"""The committed stubs run on the oldest releases that the project file admits.

Stubs refuse a runtime older than the compiler that made them, so a newer
compiler would raise the floors without anybody deciding it.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

TREE = Path(__file__).parents[2]
STUBS = TREE / "client" / "spikewire" / "v1"
GRPC_STAMP = re.compile(r"GRPC_GENERATED_VERSION = '([\d.]+)'")
PROTOBUF_STAMP = re.compile(r"Domain\.PUBLIC,\s*(\d+),\s*(\d+),\s*(\d+),")


def floor_of(package: str) -> tuple[int, ...]:
    project = tomllib.loads((TREE / "pyproject.toml").read_text("utf-8"))["project"]
    requirement = next(r for r in project["dependencies"] if r.startswith(f"{package}>="))
    return version(requirement.removeprefix(f"{package}>="))


def version(text: str) -> tuple[int, ...]:
    numbers = [int(number) for number in text.split(".")]
    return tuple(numbers + [0] * (3 - len(numbers)))


@pytest.mark.parametrize("path", sorted(STUBS.glob("*_pb2.py")), ids=lambda path: path.name)
def test_messages_admit_the_oldest_protobuf(path: Path) -> None:
    stamp = PROTOBUF_STAMP.search(path.read_text("utf-8"))
    assert stamp, "no version stamp: has the compiler changed its output?"
    assert version(".".join(stamp.groups())) <= floor_of("protobuf")


@pytest.mark.parametrize("path", sorted(STUBS.glob("*_pb2_grpc.py")), ids=lambda path: path.name)
def test_services_admit_the_oldest_grpc(path: Path) -> None:
    stamp = GRPC_STAMP.search(path.read_text("utf-8"))
    assert stamp, "no version stamp: has the compiler changed its output?"
    assert version(stamp.group(1)) <= floor_of("grpcio")
