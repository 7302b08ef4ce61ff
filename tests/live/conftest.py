"""Rigs with spools of their own, at servers that may be restarted."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import spikewire

NUMBERS = itertools.count()


@pytest.fixture
def connect_to() -> Iterator[Callable[[str], spikewire.Client]]:
    """Connect to an address; clients are closed with the test."""
    clients: list[spikewire.Client] = []

    def connect(address: str) -> spikewire.Client:
        clients.append(spikewire.connect(address))
        return clients[-1]

    yield connect
    for client in clients:
        client.close()


@pytest.fixture
def client(server: Any, connect_to: Callable[[str], spikewire.Client]) -> spikewire.Client:
    """A client of the server that tests share."""
    return connect_to(server.address)


@pytest.fixture
def name() -> str:
    """A name that no other test has."""
    return f"live/{next(NUMBERS)}"


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    return tmp_path / "spool"
