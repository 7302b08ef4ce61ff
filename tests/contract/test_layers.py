"""Imports point one way: the arrows of ARCHITECTURE.md."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

TREE = Path(__file__).parents[2]
SOURCES = {"spikewire": TREE / "client", "spikewire_server": TREE / "server"}

# Room -> the rooms that it may import; "spikewire" is the front door, `spikewire/*.py`.
LIBRARY = {"spikewire.core", "spikewire.extractors", "spikewire.wire", "spikewire.v1"}
SDK = LIBRARY | {"spikewire.curation", "spikewire.remote", "spikewire.bridges", "spikewire.aio"}
SERVER_GROUND = {
    "spikewire_server.setting_values",
    "spikewire_server.settings",
    "spikewire_server.workers",
}
ARROWS = {
    "spikewire.core": set(),
    "spikewire.extractors": {"spikewire.core"},
    "spikewire.curation": {"spikewire.core"},
    "spikewire.testing": {"spikewire.core"},
    "spikewire.v1": set(),
    "spikewire.wire": {"spikewire.core", "spikewire.v1"},
    "spikewire.remote": {"spikewire.core", "spikewire.wire", "spikewire.v1"},
    "spikewire.aio": {"spikewire.core", "spikewire.wire", "spikewire.v1", "spikewire.remote"},
    "spikewire.bridges": {"spikewire.core", "spikewire.remote"},
    "spikewire.cli": SDK | {"spikewire"},
    "spikewire": SDK,
    "spikewire_server.setting_values": LIBRARY | {"spikewire_server.library"},
    "spikewire_server.settings": LIBRARY
    | {"spikewire_server.library", "spikewire_server.setting_values"},
    "spikewire_server.workers": set(),
    "spikewire_server.library": LIBRARY
    | {"spikewire.curation", "spikewire_server.settings", "spikewire_server.workers"},
    "spikewire_server.acquisition": LIBRARY | {"spikewire_server.library"} | SERVER_GROUND,
    "spikewire_server.services": LIBRARY
    | {"spikewire_server.library", "spikewire_server.acquisition"}
    | SERVER_GROUND,
    "spikewire_server": LIBRARY
    | {
        "spikewire_server.library",
        "spikewire_server.acquisition",
        "spikewire_server.services",
    }
    | SERVER_GROUND,
}
VERSION = {"spikewire._version", "spikewire.__version__"}  # anybody may say which release it is
# What rooms without a wire may import besides; extras are imported on use.
NUMPY_AND = {"spikewire.core": set(), "spikewire.extractors": {"h5py", "numcodecs", "pyfive"}}


def room_of(module: str) -> str:
    return next(room for room in sorted(ARROWS, key=len, reverse=True) if _within(module, room))


def _within(module: str, room: str) -> bool:
    return module == room or module.startswith(f"{room}.")


def imports_of(path: Path, module: str) -> Iterator[tuple[int, str]]:
    """Every imported module of a file, those inside functions and TYPE_CHECKING too."""
    package = module if path.stem == "__init__" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parent = ".".join(package.split(".")[: len(package.split(".")) + 1 - node.level])
            origin = f"{parent}.{node.module or ''}".strip(".") if node.level else node.module or ""
            # `from package import name` may import the submodule package.name.
            yield from ((node.lineno, f"{origin}.{alias.name}") for alias in node.names)


def modules() -> Iterator[tuple[str, Path]]:
    for package, source in SOURCES.items():
        for path in sorted((source / package).rglob("*.py")):
            parts = path.relative_to(source).with_suffix("").parts
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def breaches() -> Iterator[str]:
    for module, path in modules():
        room = room_of(module)
        for line, imported in imports_of(path, module):
            top = imported.split(".")[0]
            if top in SOURCES:
                target = room_of(imported)
                admitted = (
                    target == room
                    or target in ARROWS[room]
                    or any(_within(imported, name) for name in VERSION)
                )
            else:
                known = {"numpy", *sys.stdlib_module_names, *NUMPY_AND.get(room, ())}
                admitted = room not in NUMPY_AND or top in known
            if not admitted:
                yield f"{path.relative_to(TREE)}:{line}: {room} may not import {imported}"


def test_every_import_follows_an_arrow() -> None:
    assert list(breaches()) == []


def test_every_room_is_on_the_map() -> None:
    rooms = {module for module, _ in modules() if module.count(".") == 1 and is_room(module)}
    assert rooms | SERVER_GROUND == {room for room in ARROWS if "." in room}


def is_room(module: str) -> bool:
    package, _, name = module.partition(".")
    return (SOURCES[package] / package / name / "__init__.py").exists()
