"""Where the tested code comes from: the tree, or with SPIKEWIRE_TEST_WHEEL the installed wheel."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import sys
from pathlib import Path

import pytest

TREE = Path(__file__).parents[2].resolve()
PACKAGES = ["spikewire", "spikewire_server"]
in_wheel = pytest.mark.skipif(
    not os.environ.get("SPIKEWIRE_TEST_WHEEL"), reason="the tree is tested, not the wheel"
)


def folder_of(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    assert spec
    assert spec.origin
    return Path(spec.origin).resolve().parent


@in_wheel
@pytest.mark.parametrize("package", PACKAGES)
def test_the_package_comes_from_the_environment(package: str) -> None:
    assert folder_of(package).is_relative_to(Path(sys.prefix).resolve())
    assert not folder_of(package).is_relative_to(TREE)


@in_wheel
def test_the_tree_is_not_importable() -> None:
    sources = {TREE / "client", TREE / "server"}
    assert not sources & {Path(entry or ".").resolve() for entry in sys.path}


@in_wheel
@pytest.mark.parametrize("package", PACKAGES)
def test_the_wheel_has_every_file_of_the_tree(package: str) -> None:
    source = TREE / ("server" if package == "spikewire_server" else "client") / package
    files = {path.relative_to(source) for path in source.rglob("*") if path.is_file()}
    files = {path for path in files if "__pycache__" not in path.parts}
    assert Path("py.typed") in files
    assert not {path for path in files if not (folder_of(package) / path).exists()}


def test_the_distribution_says_what_it_is() -> None:
    metadata = importlib.metadata.metadata("spikewire")
    assert metadata["Version"] == __import__("spikewire").__version__
    assert metadata["License-Expression"] == "Apache-2.0"
    commands = {entry.name for entry in importlib.metadata.entry_points(group="console_scripts")}
    assert {"spikewire", "spikewire-server"} <= commands
