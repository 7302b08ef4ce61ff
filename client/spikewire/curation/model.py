"""The curation file: labels, removals, merges and splits that somebody decided on."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from spikewire.core.dtypes import AnyArray
from spikewire.core.errors import InvalidValueError, MissingExtraError
from spikewire.core.loading import read_json
from spikewire.core.unit_ids import some
from spikewire.curation.decisions import (
    LabelDefinition,
    ManualLabel,
    Merge,
    Split,
    as_dict,
    as_ids,
    as_list,
)

SUPPORTED_VERSIONS = ("0", "1", "2")
# What the labels of format 0 are called, which has only one kind.
_LABELS = "all_labels"


@dataclass(frozen=True, slots=True)
class Curation:
    """A checked curation.

    Attributes
    ----------
    format_version : str
        "1" or "2", of the file; "2" for files of format 0, that of sortingview.
    unit_ids : list
        The units of the sorting that it is for.
    label_definitions : dict of LabelDefinition
    manual_labels : list of ManualLabel
    removed : list
        Units that are left out.
    merges : list of Merge
    splits : list of Split
    """

    format_version: str
    unit_ids: list[Any]
    label_definitions: dict[str, LabelDefinition]
    manual_labels: list[ManualLabel]
    removed: list[Any]
    merges: list[Merge]
    splits: list[Split]

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Curation:
        """Check a curation dict.

        Raises
        ------
        InvalidValueError
            If it is malformed, names units that are not in `unit_ids`, or wants two
            things of one unit.
        """
        version = values.get("format_version", "0")
        if version not in SUPPORTED_VERSIONS:
            raise InvalidValueError(
                f"format_version must be one of {', '.join(SUPPORTED_VERSIONS)}, not {version!r}"
            )
        if version == "0":
            return cls._from_sortingview(values)
        merges, removed = ("merges", "removed")
        if version == "1":
            merges, removed = ("merge_unit_groups", "removed_units")
        definitions = {
            name: LabelDefinition.from_row(name, row)
            for name, row in as_dict(values.get("label_definitions"), "label_definitions").items()
        }
        labels = as_list(values.get("manual_labels") or (), "manual_labels")
        curation = cls(
            format_version=version,
            unit_ids=as_ids(values.get("unit_ids"), "unit_ids"),
            label_definitions=definitions,
            manual_labels=[ManualLabel.from_row(row, definitions) for row in labels],
            removed=as_ids(values.get(removed) or (), "removed"),
            merges=Merge.from_rows(values.get(merges)),
            splits=Split.from_rows(values.get("splits")),
        )
        curation._check()
        return curation

    @classmethod
    def _from_sortingview(cls, values: Mapping[str, Any]) -> Curation:
        """Check a curation of format 0.

        Such a file names no format, and knows units as text, also where they are
        integers. Units without labels or merges are nowhere named, unless somebody
        added `unit_ids`.
        """
        if "labelsByUnit" not in values:
            raise InvalidValueError("format_version is missing, and so is labelsByUnit of format 0")
        by_text = as_dict(values["labelsByUnit"], "labelsByUnit")
        numbered = all(text.isdecimal() for text in by_text)
        by_unit = {
            int(text) if numbered else text: [str(one) for one in as_list(labels, "labels")]
            for text, labels in by_text.items()
        }
        groups = as_list(values.get("mergeGroups") or (), "mergeGroups")
        merges = Merge.from_rows([{"unit_ids": group} for group in groups])
        named = dict.fromkeys(chain(by_unit, *(merge.unit_ids for merge in merges)))
        options = list(dict.fromkeys(chain.from_iterable(by_unit.values())))
        curation = cls(
            format_version="2",
            unit_ids=as_ids(values.get("unit_ids", list(named)), "unit_ids"),
            label_definitions={_LABELS: LabelDefinition(_LABELS, options, exclusive=False)},
            manual_labels=[ManualLabel(unit, {_LABELS: given}) for unit, given in by_unit.items()],
            removed=[],
            merges=merges,
            splits=[],
        )
        curation._check()
        return curation

    def _check(self) -> None:
        labelled = [label.unit_id for label in self.manual_labels]
        merged = [unit_id for merge in self.merges for unit_id in merge.unit_ids]
        split = [split.unit_id for split in self.splits]
        known = set(self.unit_ids)
        for what, ids in {
            "labelled": labelled,
            "removed": self.removed,
            "merged": merged,
            "split": split,
        }.items():
            if not set(ids) <= known:
                raise InvalidValueError(f"{what}, but not in unit_ids: {some(set(ids) - known)}")
        changed = [*set(self.removed), *merged, *split]
        if len(set(changed)) != len(changed):
            twice = {unit_id for unit_id in changed if changed.count(unit_id) > 1}
            raise InvalidValueError(f"units are removed, merged or split twice: {some(twice)}")
        for merge in self.merges:
            if merge.new_unit_id in known - set(merge.unit_ids):
                raise InvalidValueError(f"new id {merge.new_unit_id!r} is the id of another unit")
        taken = known & set(chain.from_iterable(split.new_unit_ids or () for split in self.splits))
        if taken:
            raise InvalidValueError(f"new ids are ids of units: {some(taken)}")


def validate_curation_dict(curation_dict: Mapping[str, Any]) -> None:
    """Make sure that a curation dict is well formed; see `Curation.from_dict`."""
    Curation.from_dict(curation_dict)


def load_curation(curation_path: str | os.PathLike[str]) -> Curation:
    """Read a curation from a JSON file; errors are those of `Curation.from_dict`."""
    return Curation.from_dict(read_json(Path(curation_path)))


def curation_label_to_vectors(curation: Curation | Mapping[str, Any]) -> dict[str, AnyArray]:
    """The labels as properties of `unit_ids`.

    Returns
    -------
    dict of array, (units,)
        Text for each exclusive kind, "" where a unit has none; bool for each option of
        the others.
    """
    if not isinstance(curation, Curation):
        curation = Curation.from_dict(curation)
    vectors: dict[str, AnyArray] = {}
    for key, definition in curation.label_definitions.items():
        given = {label.unit_id: label.labels.get(key, []) for label in curation.manual_labels}
        of_units = [given.get(unit_id, []) for unit_id in curation.unit_ids]
        if definition.exclusive:
            new = {key: np.array([labels[0] if labels else "" for labels in of_units])}
        else:
            new = {
                option: np.array([option in labels for labels in of_units], dtype=bool)
                for option in definition.label_options
            }
        repeated = vectors.keys() & new.keys()
        if repeated:
            raise InvalidValueError(f"several kinds of labels are called {some(repeated)}")
        vectors |= new
    return vectors


def curation_label_to_dataframe(curation: Curation | Mapping[str, Any]) -> Any:
    """The labels as a pandas DataFrame, one row a unit; see `curation_label_to_vectors`."""
    try:
        import pandas as pd  # type: ignore[import-untyped]
    except ImportError as error:
        raise MissingExtraError("a DataFrame needs pandas: pip install pandas") from error
    if not isinstance(curation, Curation):
        curation = Curation.from_dict(curation)
    return pd.DataFrame(curation_label_to_vectors(curation), index=curation.unit_ids)
