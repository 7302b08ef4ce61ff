"""Sortings that lie in files: below a root, or in the store."""

from __future__ import annotations

import glob
import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from spikewire.core.dump import class_path
from spikewire.core.errors import (
    DumpError,
    FormatError,
    InvalidValueError,
    NeedsSamplingFrequencyError,
    SortingNotFoundError,
    SpikewireError,
)
from spikewire.core.sorting import BaseSorting
from spikewire.extractors.numpy_folder import NumpyFolderSorting
from spikewire.v1 import sorting_pb2
from spikewire.wire.clocks import clocks_from_bytes
from spikewire.wire.errors import with_metadata
from spikewire.wire.unit_ids import unit_ids_from_proto
from spikewire_server.library.catalogue import SortingRow
from spikewire_server.library.entry import Origin
from spikewire_server.library.facts import Facts, Look, facts_of
from spikewire_server.library.glance import Glance
from spikewire_server.library.reader_options import reader_options
from spikewire_server.library.revision import root_revision, stamp_files
from spikewire_server.library.roots import Found
from spikewire_server.library.store import Lease
from spikewire_server.library.view_nodes import ReaderNode

# Clocks of file systems are coarse, up to two seconds: a file that changed a moment ago may
# change again without its time changing.
_SETTLED_AFTER = timedelta(seconds=2)
_LAST_SECOND = datetime.max.replace(tzinfo=UTC).timestamp()


class RootSource:
    """A sorting below a root. Its files may change at any moment, and are never mapped.

    Parameters
    ----------
    found : Found
        Where it is.
    sampling_frequency : float or None
        The configured rate, in Hz, for files that lack it.
    reader : type, optional
        The class to read it with; by default the one of its format.
    options : mapping, optional
        Further arguments of the reader.
    """

    origin = Origin.ROOT

    def __init__(
        self,
        found: Found,
        sampling_frequency: float | None,
        reader: Callable[..., BaseSorting] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self.name = found.name
        self._found = found
        self._sampling_frequency = None if found.format.states_rate else sampling_frequency
        self._reader = reader
        self._seen: tuple[Glance, Look] | None = None
        self._options = dict(options or {})
        rate = self._sampling_frequency
        # A recording inside the file has a rate of its own.
        if reader and rate is not None and "electrical_series_path" not in self._options:
            self._options.setdefault("sampling_frequency", rate)
        self.class_name = getattr(reader or found.format.extractor, "__name__", found.format.name)

    def look(self) -> Look:
        """Look at the files as they are now."""
        if self._seen is not None:
            glance, look = self._seen
            with self.in_its_name():
                if glance.holds():
                    return look
        path, format_ = self._found.path, self._found.format
        base = path if path.is_dir() else path.parent
        with self.in_its_name():
            spike_files, label_files = format_.spike_files(path), format_.label_files(path)
            glance_before = Glance.at(path, [*spike_files, *label_files])
            spikes = stamp_files(base, spike_files)
            labels = stamp_files(base, label_files)
            revision = root_revision(
                f"{format_.name} {self.class_name} {sorted(self._options.items())!r}",
                self._sampling_frequency,
                spikes,
                format_.unit_ids_in_labels(path),
            )
        newest = max(spikes.newest_ns, labels.newest_ns)
        update_time = datetime.fromtimestamp(min(max(newest / 1e9, 0), _LAST_SECOND), UTC)
        settled = datetime.now(UTC) - update_time > _SETTLED_AFTER
        watched = {f"{self.name} {revision}": (self, revision)}
        look = Look(revision, labels.digest, settled, update_time, watched)
        self._seen = None if glance_before is None else (glance_before, look)
        return look

    def facts(self, look: Look) -> Facts:
        """Open the sorting and read everything but the spikes."""
        return facts_of(self.read(), look.spikes, look.labels)

    def node(self) -> ReaderNode:
        """Return the sorting as a node of a dump, with its name in place of its path."""
        sorting = self.read()
        arguments = dict(sorting._kwargs)
        path_key = next(key for key in arguments if "path" in key)
        return ReaderNode(
            type(sorting), path_key, self.name, {**reader_options(arguments), **self._options}
        )

    def spikes(self, segment_index: int) -> None:
        """Return no way of its own: the files are read."""

    def read(self) -> BaseSorting:
        """Open the sorting."""
        with self.in_its_name():
            if self._reader is None:
                try:
                    return self._found.format.open(self._found.path, self._sampling_frequency)
                except InvalidValueError as error:  # it needs an option, and who opens has none
                    raise InvalidValueError(f"{error}{self._how_to_choose()}") from error
            try:
                return self._reader(self._found.path, **self._options)
            except (TypeError, ValueError) as error:
                if isinstance(error, SpikewireError):
                    raise
                raise DumpError(f"{self.class_name} takes no such arguments: {error}") from error

    def _how_to_choose(self) -> str:
        extractor = self._found.format.extractor
        if not isinstance(extractor, type):
            return ""
        path_key = next(iter(inspect.signature(extractor).parameters))
        kwargs = {path_key: self.name, "OPTION": "VALUE"}
        dump = {"class": class_path(extractor), "kwargs": kwargs}
        return f"; a view under another name says how it is read: client.register({dump}, NAME)"

    @contextmanager
    def in_its_name(self) -> Iterator[None]:
        """Let errors speak of the sorting by its name, and of a missing rate by the setting."""
        root = self._found.root
        with naming(self.name, {str(self._found.path): self.name, str(root.path): root.label}):
            try:
                yield
            except NeedsSamplingFrequencyError as error:
                pattern = glob.escape(self.name).replace("'", "'\"'\"'")
                raise with_metadata(
                    NeedsSamplingFrequencyError(
                        f"the files of {self.name!r} state no sampling frequency; start the server "
                        f"with --sampling-frequency '{pattern}=HZ'"
                    ),
                    name=self.name,
                ) from error


class StoreSource:
    """A sorting in the store; what is not its spikes comes from the catalogue.

    Parameters
    ----------
    row : SortingRow
        What the catalogue has of it.
    lease : Lease or None
        Keeps its files; None if they are missing.
    """

    origin = Origin.STORE

    def __init__(self, row: SortingRow, lease: Lease | None) -> None:
        self.name = row.name
        self.class_name = row.class_name
        self._row = row
        self._lease = lease

    def look(self) -> Look:
        """Return what the catalogue has: objects do not change."""
        self._path()
        row = self._row
        revision = row.revision or ""
        pins = {row.name: int(revision.rpartition(".")[2])} if row.acquisition_id else {}
        return Look(revision, "", True, row.update_time, pins=pins)

    def facts(self, look: Look) -> Facts:
        """Return what the catalogue has."""
        row = self._row
        unit_ids = unit_ids_from_proto(sorting_pb2.UnitIds.FromString(row.unit_ids or b""))
        sampling_frequency = row.sampling_frequency or 0.0
        return Facts(
            class_name=row.class_name,
            revision=look.spikes,
            sampling_frequency=sampling_frequency,
            unit_ids=unit_ids,
            t_starts=tuple(row.t_starts or ()),
            clocks=clocks_from_bytes(row.clocks, sampling_frequency, len(unit_ids)),
            spike_count=row.spike_count,
        )

    def spikes(self, segment_index: int) -> None:
        """Return no way of its own: the object is read."""

    def read(self) -> BaseSorting:
        """Open the object."""
        with self.in_its_name():
            return NumpyFolderSorting(self._path())

    def in_its_name(self) -> AbstractContextManager[None]:
        """Let errors speak of the sorting by its name."""
        return naming(self.name, {str(self._path()): self.name})

    def _path(self) -> Path:
        if self._lease is None:
            raise with_metadata(
                FormatError(f"the files of {self.name!r} are missing from the store"),
                name=self.name,
            )
        return self._lease.path


@contextmanager
def naming(name: str, names: Mapping[str, str]) -> Iterator[None]:
    """Let errors speak of a sorting by its name, not by its path on this machine.

    Parameters
    ----------
    name : str
        The sorting.
    names : mapping
        What to say for a path, the longest path first.
    """
    try:
        yield
    except SpikewireError as error:
        text = str(error)
        for path, shown in names.items():
            text = text.replace(path, shown)
        # A file that is missing is one of the sorting's: it has a name, so it is there.
        kind = FormatError if isinstance(error, SortingNotFoundError) else type(error)
        if text == str(error) and kind is type(error):
            raise
        raise with_metadata(kind(text), name=name) from error
    except OSError as error:
        text = f"the files of {name!r} cannot be read: {error.strerror}"
        raise with_metadata(FormatError(text), name=name) from error
