"""docs/api.md is what the code says, and every name of the reference is there."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

import spikewire

DOCS = Path(__file__).parents[2] / "docs"


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_api", DOCS / "make_api.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


make_api = _load()


def test_the_page_is_fresh() -> None:
    assert (DOCS / "api.md").read_text("utf-8") == make_api.page(), "run make api"


def test_every_member_is_on_the_page() -> None:
    """What is added to sortings is added to the reference too."""
    names = {
        name.partition("(")[0]
        for part in make_api.REFERENCE.values()
        for owner, _, names in part
        if owner == make_api.SORTING
        for name in names.split()
    }
    public = {name for name in dir(spikewire.BaseSorting) if not name.startswith("_")}
    assert public <= names


def test_every_member_is_remote_too() -> None:
    rows = [row for section in make_api.REFERENCE for row in make_api.rows(section)]
    members = [row for row in rows if row.name.startswith("`.")]
    assert {row.remote for row in members if row.local == "yes"} == {"yes"}


@pytest.mark.parametrize("name", ["no_such_method", "to_dict(no_such_argument)"])
def test_a_missing_name_is_noticed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(make_api.REFERENCE, "Times", [(make_api.SORTING, make_api.C, name)])
    with pytest.raises(LookupError, match=r"is absent from spikewire\.BaseSorting"):
        make_api.page()
