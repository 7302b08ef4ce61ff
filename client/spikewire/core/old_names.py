"""Methods that SpikeInterface has dropped; each says what took its place."""

from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from spikewire.core.copies import SortingCopies
from spikewire.core.dtypes import AnyArray, IntArray
from spikewire.core.errors import ContractError
from spikewire.core.named_saves import folder_named

if TYPE_CHECKING:
    from spikewire.core.sorting import BaseSorting


class SortingOldNames(SortingCopies):
    """The deprecated methods of `BaseSorting`."""

    def get_total_num_spikes(self) -> dict[Any, np.int64]:
        """Deprecated: `count_num_spikes_per_unit`."""
        _deprecated("get_total_num_spikes", "count_num_spikes_per_unit")
        counts: dict[Any, np.int64] = self.count_num_spikes_per_unit()
        return counts

    def get_all_spike_trains(self, outputs: str = "unit_id") -> list[tuple[IntArray, AnyArray]]:
        """Deprecated: `to_spike_vector`. For each segment all samples and their units.

        Parameters
        ----------
        outputs : {"unit_id", "unit_index"}
            What to give for units.
        """
        _deprecated("get_all_spike_trains", "to_spike_vector")
        if outputs not in ("unit_id", "unit_index"):
            raise ContractError(f"outputs must be 'unit_id' or 'unit_index', not {outputs!r}")
        columns = [self.to_spike_columns(index) for index in range(self.get_num_segments())]
        if outputs == "unit_index":
            return columns
        return [(samples, self._main_ids[units]) for samples, units in columns]

    @property
    def is_dumpable(self) -> bool:
        """Deprecated: `check_serializability("json")`."""
        _deprecated("is_dumpable", "check_serializability('json')")
        return self.check_serializability("json")

    def check_if_dumpable(self) -> bool:
        """Deprecated: `check_serializability("json")`."""
        _deprecated("check_if_dumpable", "check_serializability('json')")
        return self.check_serializability("json")

    def check_if_json_serializable(self) -> bool:
        """Deprecated: `check_serializability("json")`."""
        _deprecated("check_if_json_serializable", "check_serializability('json')")
        return self.check_serializability("json")

    def check_if_pickle_serializable(self) -> bool:
        """Deprecated: `check_serializability("pickle")`."""
        _deprecated("check_if_pickle_serializable", "check_serializability('pickle')")
        return self.check_serializability("pickle")

    def check_if_memory_serializable(self) -> bool:
        """Deprecated: `check_serializability("memory")`."""
        _deprecated("check_if_memory_serializable", "check_serializability('memory')")
        return self.check_serializability("memory")

    def check_serializablility(self, type: str) -> bool:  # noqa: A002
        """Deprecated: `check_serializability`."""
        _deprecated("check_serializablility", "check_serializability")
        return self.check_serializability(type)

    @staticmethod
    def load_from_folder(folder: str | os.PathLike[str]) -> BaseSorting:
        """Deprecated: `load`."""
        from spikewire.core.loading import load

        _deprecated("load_from_folder", "load")
        return load(folder)

    def save_to_folder(
        self, name: str | None = None, folder: Any = None, overwrite: bool = False, **options: Any
    ) -> BaseSorting:
        """Deprecated: `save(folder=...)`."""
        _deprecated("save_to_folder", "save(folder=...)")
        options.pop("verbose", None)
        return self.save(folder=_place(name, folder), overwrite=overwrite, **options)

    def save_to_zarr(
        self, name: str | None = None, folder: Any = None, overwrite: bool = False, **options: Any
    ) -> BaseSorting:
        """Deprecated: `save(format="zarr", folder=...)`."""
        _deprecated("save_to_zarr", "save(format='zarr', folder=...)")
        options.pop("verbose", None)
        folder = _place(name, folder)
        return self.save(format="zarr", folder=folder, overwrite=overwrite, **options)

    def save_to_memory(self, sharedmem: bool = True, **options: Any) -> BaseSorting:
        """Deprecated: `save(format="memory")`."""
        _deprecated("save_to_memory", "save(format='memory')")
        return self.save(format="memory", sharedmem=sharedmem, **options)


def _place(name: str | None, folder: Any) -> Any:
    """The folder to save in, that of the name if only a name is given."""
    return folder_named(name) if folder is None and name is not None else folder


def _deprecated(old: str, new: str) -> None:
    warnings.warn(f"{old} is deprecated; use {new}", DeprecationWarning, stacklevel=3)
