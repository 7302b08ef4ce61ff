"""Copies of sortings: clones, in memory, in shared memory, in files."""

from __future__ import annotations

import warnings
from collections.abc import Callable, MutableMapping
from copy import deepcopy
from typing import TYPE_CHECKING, Any, ClassVar

from spikewire.core.dumping import SortingDumps
from spikewire.core.errors import InvalidValueError
from spikewire.core.named_saves import folder_named
from spikewire.core.registry import saver

if TYPE_CHECKING:
    from spikewire.core.numpy_sorting import NumpySorting
    from spikewire.core.shared_memory import SharedMemorySorting
    from spikewire.core.sorting import BaseSorting

#: Arguments of `save` that were dropped from SpikeInterface, or never did anything for sortings.
_IGNORED_SAVE_OPTIONS = ("verbose", "n_jobs", "progress_bar", "chunk_duration", "total_memory")


class SortingCopies(SortingDumps):
    """The methods of `BaseSorting` that copy."""

    #: Whether another process that gets the sorting maps the spikes, rather than copies them.
    _is_reopened_cheaply: ClassVar[bool] = False

    def clone(self) -> BaseSorting:
        """A new object of the same class, spikes and metadata; times are not copied."""
        metadata = deepcopy((dict(self._annotations), dict(self._properties)))
        return rebuild(type(self._this), self._kwargs, *metadata)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        # Everything that the constructor takes, and metadata: a spawned process gets the same.
        metadata = dict(self._annotations), dict(self._properties)
        return rebuild, (type(self), self._kwargs, *metadata)

    def to_numpy_sorting(self, propagate_cache: bool = True) -> NumpySorting:
        """The spikes in memory, without metadata; a recording and start times are kept.

        Parameters
        ----------
        propagate_cache : bool, default: True
            Accepted for SpikeInterface's sake.
        """
        from spikewire.core.numpy_sorting import NumpySorting

        return NumpySorting.from_sorting(self._this)

    def to_shared_memory_sorting(self) -> SharedMemorySorting:
        """The spikes in memory that other processes can map."""
        from spikewire.core.shared_memory import SharedMemorySorting

        return SharedMemorySorting.from_sorting(self._this)

    def to_multiprocessing(self, n_jobs: int) -> BaseSorting:
        """A sorting that is cheap to hand to `n_jobs` processes: itself where it is that."""
        from spikewire.core.numpy_sorting import NumpySorting
        from spikewire.core.shared_memory import SharedMemorySorting

        if self._is_reopened_cheaply or (n_jobs == 1 and isinstance(self, NumpySorting)):
            return self._this
        if n_jobs == 1:
            return NumpySorting.from_sorting(self._this)
        return SharedMemorySorting.from_sorting(self._this)

    def save(
        self,
        format: str = "numpy_folder",  # noqa: A002
        *,
        name: str | None = None,
        **options: Any,
    ) -> BaseSorting:
        """Write spikes and metadata, and give the sorting that reads what was written.

        Parameters
        ----------
        format : str, default: "numpy_folder"
            "numpy_folder", "zarr" (with the extra), "memory"; "npz_folder" is deprecated.
        name : str, optional
            Deprecated: the name of a folder in a temporary one, where no `folder` is given.
        **options
            `folder` (all formats but "memory"), `overwrite`, and others of the format.

        Raises
        ------
        InvalidValueError
            If the format is unknown or `folder` is missing.
        InvalidNameError
            If `name` is not the name of one folder.
        SortingExistsError
            If something lies at `folder` and `overwrite` is not True.
        """
        ignored = [option for option in _IGNORED_SAVE_OPTIONS if option in options]
        for option in ignored:
            del options[option]
        if ignored:
            warnings.warn(
                f"save() ignores {', '.join(ignored)}, which SpikeInterface 0.105 has dropped",
                DeprecationWarning,
                stacklevel=2,
            )
        write = saver(format)
        if name is not None:
            warnings.warn(
                "save(name=...) is deprecated; use save(folder=...)",
                DeprecationWarning,
                stacklevel=2,
            )
            if format != "memory" and options.get("folder") is None:
                options["folder"] = folder_named(name)
        if format != "memory" and options.get("folder") is None:
            raise InvalidValueError(f"format {format!r} needs 'folder'")
        saved = write(self._this, **options)
        if format != "memory" and any(segment._clocks is not None for segment in self._segments):
            warnings.warn(
                "sync points are not saved: the sorting will be loaded without them",
                stacklevel=2,
            )
            for source, target in zip(self._segments, saved.segments, strict=True):
                target._take_times_of(source)
        if self._recording is not None and format != "memory":
            warnings.warn(
                "the registered recording is not saved: the sorting will be loaded without it",
                stacklevel=2,
            )
            saved.register_recording(self._recording)
        return saved


def rebuild(
    sorting_class: type[BaseSorting],
    kwargs: dict[str, Any],
    annotations: dict[str, Any],
    properties: dict[str, Any],
) -> BaseSorting:
    """A sorting from its class, its constructor's arguments and its metadata."""
    sorting = sorting_class(**kwargs)
    _replace(sorting._annotations, annotations)
    _replace(sorting._properties, properties)
    return sorting


def _replace(mapping: MutableMapping[str, Any], content: dict[str, Any]) -> None:
    """Give a mapping other content; reads none of its values, which may be far away."""
    for key in list(mapping):
        del mapping[key]
    mapping.update(content)
