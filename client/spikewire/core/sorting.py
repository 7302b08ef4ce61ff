"""`BaseSorting`: spike-sorted units, wherever their spikes lie."""

from __future__ import annotations

import html
import os
from pathlib import Path
from typing import Any

import numpy as np

from spikewire.core.old_names import SortingOldNames


class BaseSorting(SortingOldNames):
    """The spike trains of units over one or several segments, with metadata.

    A subclass calls `BaseSorting.__init__`, adds one `BaseSortingSegment` a segment
    and keeps its constructor's arguments in `_kwargs`; everything else follows.

    Parameters
    ----------
    sampling_frequency : float
        Frames per second.
    unit_ids : sequence of int or of str
        Unique.

    Notes
    -----
    A segment counts spikes in frames, int64, from its own start; windows are
    half-open, [start, end). Arrays of spikes that are handed out are read-only:
    copy them to change them.
    """

    # The class is a stack of layers, each in its own module: shape, metadata, times,
    # spikes (hooks and caches), vectors, train_reads, views, dumping, copies, old_names.

    def __repr__(self) -> str:
        return self._header()

    def _header(self, with_name: bool = True) -> str:
        class_name = type(self).__name__
        name = class_name
        if with_name and self.name != class_name:
            name = f"{self.name} ({class_name})"
        text = (
            f"{name}: {self.get_num_units()} units - {self.get_num_segments()} segments - "
            f"{self._sampling_frequency / 1000:0.1f}kHz"
        )
        if "file_path" in self._kwargs:
            text += f"\n  file_path: {self._kwargs['file_path']}"
        return text

    def _repr_html_(self, display_name: bool = True) -> str:
        properties = "".join(
            _details(key, html.escape(str(np.asarray(values))))
            for key, values in self._properties.items()
        )
        annotations = "".join(
            f"<li><strong>{html.escape(key)}</strong>: {html.escape(str(value))}</li>"
            for key, value in self._annotations.items()
        )
        parent = self.get_parent()
        return (
            '<div style="border:1px solid #ddd; padding:10px;">'
            f"<strong>{html.escape(self._header(display_name))}</strong></div>"
            + _details("Unit IDs", html.escape(str(self._main_ids)))
            + _details("Annotations", f"<ul>{annotations}</ul>")
            + _details("Properties", properties)
            + (_details("Parent", parent._repr_html_()) if parent is not None else "")
        )

    @staticmethod
    def from_dict(
        dictionary: dict[str, Any], base_folder: str | os.PathLike[str] | None = None
    ) -> BaseSorting:
        """The sorting that a dump dict describes.

        Parameters
        ----------
        dictionary : dict
        base_folder : path, optional
            What relative paths in the dict are relative to.
        """
        from spikewire.core.loading import sorting_from_dict

        return sorting_from_dict(dictionary, None if base_folder is None else Path(base_folder))

    @staticmethod
    def load(
        file_or_folder_path: str | os.PathLike[str],
        base_folder: str | os.PathLike[str] | bool | None = None,
        *,
        allow_pickle: bool = False,
    ) -> BaseSorting:
        """Load a sorting from a file, a folder or an address; see `spikewire.load`."""
        from spikewire.core.loading import load

        return load(file_or_folder_path, base_folder=base_folder, allow_pickle=allow_pickle)


def _details(title: str, body: str) -> str:
    return (
        '<details style="margin-left: 10px;">'
        f"<summary><strong>{html.escape(title)}</strong></summary>{body}</details>"
    )
