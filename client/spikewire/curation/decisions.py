"""The parts of a curation: labels, merges and splits, each checked by itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np

from spikewire.core.dtypes import IntArray
from spikewire.core.errors import ContractError, InvalidValueError


def as_list(value: Any, what: str, least: int = 0) -> list[Any]:
    """A list of at least so many items, from any sequence but text.

    Raises
    ------
    InvalidValueError
        If it is none, or too short.
    """
    if not isinstance(value, Iterable) or isinstance(value, str | bytes | Mapping):
        raise InvalidValueError(f"{what} must be a list")
    items = [item.item() if isinstance(item, np.generic) else item for item in value]
    if len(items) < least:
        raise InvalidValueError(f"{what} must have {least} items or more, not {len(items)}")
    return items


def as_ids(value: Any, what: str, least: int = 0) -> list[Any]:
    """A list of unit ids; see `as_list`."""
    ids = as_list(value, what, least)
    if not all(isinstance(unit_id, int | str) for unit_id in ids):
        raise InvalidValueError(f"{what} must be integers or strings")
    return ids


def as_integers(value: Any, what: str) -> list[int]:
    """A list of integers; see `as_list`."""
    integers = as_list(value, what)
    if not all(isinstance(number, int) for number in integers):
        raise InvalidValueError(f"{what} must be integers")
    return integers


def as_dict(value: Any, what: str) -> Mapping[str, Any]:
    """A dict; an empty one for None."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InvalidValueError(f"{what} must be a dict")
    return value


@dataclass(frozen=True, slots=True)
class LabelDefinition:
    """A kind of label: its options, and whether a unit can have only one of them."""

    name: str
    label_options: list[str]
    exclusive: bool

    @classmethod
    def from_row(cls, name: str, row: Any) -> LabelDefinition:
        """Check what a file says of a kind."""
        fields = as_dict(row, f"label definition {name!r}")
        options = as_list(fields.get("label_options"), f"label_options of {name!r}", least=2)
        if not isinstance(fields.get("exclusive"), bool):
            raise InvalidValueError(f"label {name!r} must say whether it is exclusive")
        return cls(name, [str(option) for option in options], fields["exclusive"])


@dataclass(frozen=True, slots=True)
class ManualLabel:
    """The labels of a unit, by kind."""

    unit_id: Any
    labels: dict[str, list[str]]

    @classmethod
    def from_row(cls, row: Any, definitions: Mapping[str, LabelDefinition]) -> ManualLabel:
        """Check what a file says of a unit: its labels under `labels`, or beside `unit_id`."""
        fields = as_dict(row, "a manual label")
        (unit_id,) = as_ids([fields.get("unit_id")], "unit_id of a manual label")
        beside = {key: value for key, value in fields.items() if key not in ("unit_id", "labels")}
        labels: dict[str, list[str]] = {}
        for key, values in (as_dict(fields.get("labels"), "labels") or beside).items():
            if key not in definitions:
                raise InvalidValueError(f"unit {unit_id!r} has a label of an unknown kind {key!r}")
            labels[key] = as_list(values, f"labels {key!r} of unit {unit_id!r}")
            if definitions[key].exclusive and len(labels[key]) > 1:
                raise InvalidValueError(f"unit {unit_id!r} can only have one label {key!r}")
        return cls(unit_id, labels)


@dataclass(frozen=True, slots=True)
class Merge:
    """Units that are one."""

    unit_ids: list[Any]
    new_unit_id: Any = None

    @classmethod
    def from_rows(cls, rows: Any) -> list[Merge]:
        """Check merges: a dict of groups by new id, or a list of groups or of dicts."""
        if isinstance(rows, Mapping):
            rows = [{"unit_ids": group, "new_unit_id": new} for new, group in rows.items()]
        merges = []
        for row in as_list(rows or (), "merges"):
            fields = row if isinstance(row, Mapping) else {"unit_ids": row}
            ids = as_ids(fields.get("unit_ids"), "a merge", least=2)
            new = fields.get("new_unit_id")
            merges.append(cls(ids, None if new is None else as_ids([new], "new_unit_id")[0]))
        return merges


@dataclass(frozen=True, slots=True)
class Split:
    """A unit that is several: positions of the spikes of each part, or the part of each spike."""

    unit_id: Any
    indices: list[list[int]] | None = None
    labels: list[int] | None = None
    new_unit_ids: list[Any] | None = None

    @property
    def mode(self) -> str:
        """Which of the two is given: "indices" or "labels"."""
        return "indices" if self.labels is None else "labels"

    @classmethod
    def from_rows(cls, rows: Any) -> list[Split]:
        """Check splits: a dict of indices or labels by unit, or a list of dicts."""
        if isinstance(rows, Mapping):
            pairs = [(unit_id, as_list(given, "a split", 1)) for unit_id, given in rows.items()]
            rows = [
                {"unit_id": unit_id, "mode": "labels", "labels": given}
                if isinstance(given[0], int)
                else {"unit_id": unit_id, "indices": given}
                for unit_id, given in pairs
            ]
        return [cls._from_row(as_dict(row, "a split")) for row in as_list(rows or (), "splits")]

    @classmethod
    def _from_row(cls, fields: Mapping[str, Any]) -> Split:
        (unit_id,) = as_ids([fields.get("unit_id")], "unit_id of a split")
        mode = fields.get("mode", "indices")
        if mode not in ("indices", "labels"):
            raise InvalidValueError(f"the mode of a split is 'indices' or 'labels', not {mode!r}")
        what = f"{mode} of the split of unit {unit_id!r}"
        given = as_list(fields.get(mode), what, least=1)
        new = fields.get("new_unit_ids")
        new_ids = None if new is None else as_ids(new, "new_unit_ids")
        if mode == "labels":
            split = cls(unit_id, labels=as_integers(given, what), new_unit_ids=new_ids)
            counts = {len(set(given))}
        else:
            parts = [as_integers(part, what) for part in given]
            positions = list(chain.from_iterable(parts))
            if len(set(positions)) != len(positions):
                raise InvalidValueError(f"{what} repeat positions")
            split = cls(unit_id, indices=parts, new_unit_ids=new_ids)
            counts = {len(parts), len(parts) + 1}  # the spikes left over may be a part
        if new_ids is not None and len(new_ids) not in counts:
            raise InvalidValueError(f"{len(new_ids)} new ids do not fit the {what}")
        return split

    def parts(self, count: int) -> list[IntArray]:
        """Positions of the spikes of each part, of a unit with `count` spikes.

        Spikes that `indices` leaves out are a part of their own, the last.
        """
        if self.labels is not None:
            labels = np.array(self.labels, dtype=np.int64)
            if len(labels) != count:
                raise ContractError(
                    f"{len(labels)} labels for the {count} spikes of unit {self.unit_id!r}"
                )
            return [np.flatnonzero(labels == label) for label in np.unique(labels)]
        parts = [np.array(part, dtype=np.int64) for part in self.indices or []]
        rest = np.setdiff1d(np.arange(count), np.concatenate(parts))
        return [*parts, rest] if len(rest) else parts
