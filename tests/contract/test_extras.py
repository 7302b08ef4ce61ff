"""What needs an extra says which one; what needs none works without any."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXTRAS = [
    "alembic",
    "click",
    "grpc_health",
    "grpc_reflection",
    "platformdirs",
    "rich",
    "sqlalchemy",
    "structlog",
    "uvloop",
]


def run_without(modules: list[str], folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run Python as if modules were not installed."""
    for module in modules:
        absent = f"raise ModuleNotFoundError('no module named {module}', name='{module}')"
        (folder / f"{module}.py").write_text(absent, "utf-8")
    environment = os.environ | {"PYTHONPATH": str(folder)}
    return subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, check=False, env=environment
    )


@pytest.mark.parametrize(
    ("package", "module", "extra"),
    [
        ("spikewire.cli", "click", "cli"),
        ("spikewire.cli", "rich", "cli"),
        ("spikewire_server", "click", "server"),
        ("spikewire_server", "sqlalchemy", "server"),
        ("spikewire_server", "grpc_health", "server"),
    ],
)
def test_a_command_without_its_extra_says_what_to_install(
    package: str, module: str, extra: str, tmp_path: Path
) -> None:
    done = run_without([module], tmp_path, "-m", package)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.endswith(f"pip install 'spikewire[{extra}]'")


def test_the_sdk_needs_no_extra(tmp_path: Path) -> None:
    program = "import spikewire, spikewire.extractors; spikewire.connect; spikewire.RemoteSorting"
    done = run_without(EXTRAS, tmp_path, "-W", "error", "-c", program)
    assert done.returncode == 0, done.stderr
