"""The formats that a folder of sessions is searched for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from spikewire.core.errors import FormatError
from spikewire.core.sorting import BaseSorting
from spikewire.extractors import (
    alf,
    cluster_tables,
    mclust,
    mda,
    neuroscope,
    neuroscope_files,
    npz_folder,
    numpy_folder,
    nwb,
    nwb_files,
    phy,
    tridesclous,
    zarr_folder,
)
from spikewire.extractors.archives import NpzFile
from spikewire.extractors.npz import NpzSortingExtractor
from spikewire.extractors.npz_folder import NpzFolderSorting
from spikewire.extractors.numpy_folder import NumpyFolderSorting
from spikewire.extractors.phy import PhySortingExtractor
from spikewire.extractors.saving import is_leftover


@dataclass(frozen=True)
class Format:
    """A format: how to tell it, how to open it, and which of its files say what.

    Attributes
    ----------
    name : str
        Its name, as `save(format=...)` would have it.
    extractor : type
        The class that reads it.
    recognise : function
        Whether a path is of the format, by the names of files and small reads.
    spike_files : function
        The files that define the spikes, the units and the sampling frequency.
    label_files : function
        The files that define properties and annotations only.
    states_rate : bool
        Whether the files always state the sampling frequency. Where they do, none
        is taken from elsewhere.
    unit_ids_in_labels : function
        What the label files say of the unit ids: with the spike files, it settles
        which spikes of which units the sorting holds.
    """

    name: str
    extractor: Callable[..., BaseSorting]
    recognise: Callable[[Path], bool]
    spike_files: Callable[[Path], list[Path]]
    label_files: Callable[[Path], list[Path]]
    states_rate: bool = True
    unit_ids_in_labels: Callable[[Path], bytes] = field(default=lambda path: b"")

    def open(self, path: Path, sampling_frequency: float | None = None) -> BaseSorting:
        """Open a sorting.

        Parameters
        ----------
        path : Path
        sampling_frequency : float, optional
            Frames per second, for files that may lack it.

        Raises
        ------
        NeedsSamplingFrequencyError
            If the files state no sampling frequency and none is given.
        FormatError
            If the files are damaged.
        """
        if self.states_rate or sampling_frequency is None:
            return self.extractor(path)
        return self.extractor(path, sampling_frequency=sampling_frequency)


def recognise(path: Path) -> Format | None:
    """The format of a file or folder, None if it is not a sorting.

    Damaged files are recognised all the same where their names are telling, so
    that opening them says what is wrong.
    """
    if is_leftover(path):
        return None
    return next((known for known in FORMATS if known.recognise(path)), None)


def _is_npz(path: Path) -> bool:
    if path.suffix != ".npz" or not path.is_file():
        return False
    try:
        archive = NpzFile(path)
    except FormatError:
        return True
    return "unit_ids" in archive and "num_segment" in archive


def _itself(path: Path) -> list[Path]:
    return [path]


def _no_files(path: Path) -> list[Path]:
    return []


def _properties_and(*names: str) -> Callable[[Path], list[Path]]:
    """The property files of a folder, and others by name."""

    def files(folder: Path) -> list[Path]:
        properties = sorted((folder / "properties").glob("*"))
        return [*properties, *existing(folder, *names)]

    return files


def existing(folder: Path, *names: str) -> list[Path]:
    """Those of the named files that exist."""
    return [folder / name for name in names if (folder / name).is_file()]


def _phy_spike_files(folder: Path) -> list[Path]:
    clusters = existing(folder, "spike_clusters.npy", "spike_templates.npy")[:1]
    return [folder / "spike_times.npy", *clusters, *existing(folder, "params.py")]


def _tridesclous_spike_files(folder: Path) -> list[Path]:
    segments = tridesclous.segment_folders(tridesclous.channel_groups(folder)[0])
    names = (tridesclous.ARRAYS_FILE, tridesclous.SPIKES_FILE)
    return [
        folder / tridesclous.INFO_FILE,
        *(path for s in segments for path in existing(s, *names)),
    ]


def _neuroscope_spike_files(folder: Path) -> list[Path]:
    shanks = neuroscope_files.find_shanks(folder)
    parameters = neuroscope_files.parameter_file(folder)
    files = [path for shank in shanks for path in (shank.res, shank.clu)]
    return files if parameters is None else [*files, parameters]


FORMATS = [
    Format(
        name="npz",
        extractor=NpzSortingExtractor,
        recognise=_is_npz,
        spike_files=_itself,
        label_files=_no_files,
    ),
    Format(
        name="numpy_folder",
        extractor=NumpyFolderSorting,
        recognise=lambda path: (path / numpy_folder.INFO_FILE).is_file(),
        spike_files=lambda path: [path / numpy_folder.INFO_FILE, path / numpy_folder.SPIKES_FILE],
        label_files=_properties_and("annotations.json", "si_folder.json"),
    ),
    Format(
        name="npz_folder",
        extractor=NpzFolderSorting,
        recognise=npz_folder.is_npz_folder,
        spike_files=lambda path: [path / npz_folder.SPIKES_FILE],
        label_files=_properties_and("annotations.json", "si_folder.json"),
    ),
    Format(
        name="cached_folder",
        extractor=npz_folder.read_cached_folder,
        recognise=npz_folder.is_cached_folder,
        spike_files=lambda path: [path / npz_folder.SPIKES_FILE],
        label_files=_properties_and(npz_folder.CACHED_DUMP_FILE),
    ),
    Format(
        name="zarr",
        extractor=zarr_folder.ZarrSortingExtractor,
        recognise=zarr_folder.is_zarr_folder,
        spike_files=zarr_folder.spike_files,
        label_files=zarr_folder.label_files,
    ),
    Format(
        name="phy",
        extractor=PhySortingExtractor,
        recognise=phy.is_phy_folder,
        spike_files=_phy_spike_files,
        label_files=cluster_tables.label_files,
        states_rate=False,
        unit_ids_in_labels=phy.unit_ids_in_labels,
    ),
    Format(
        name="tridesclous",
        extractor=tridesclous.TridesclousSortingExtractor,
        recognise=lambda path: (
            (path / tridesclous.INFO_FILE).is_file() and len(tridesclous.channel_groups(path)) == 1
        ),
        spike_files=_tridesclous_spike_files,
        label_files=_no_files,
    ),
    Format(
        name="neuroscope",
        extractor=neuroscope.NeuroScopeSortingExtractor,
        recognise=neuroscope_files.is_neuroscope_folder,
        spike_files=_neuroscope_spike_files,
        label_files=_no_files,
        states_rate=False,
    ),
    Format(
        name="mclust",
        extractor=mclust.MClustSortingExtractor,
        recognise=mclust.is_mclust_folder,
        spike_files=mclust.cell_files,
        label_files=_no_files,
        states_rate=False,
    ),
    Format(
        name="alf",
        extractor=alf.ALFSortingExtractor,
        recognise=alf.is_alf_folder,
        spike_files=lambda path: list(alf.alf_files(path).values()),
        label_files=_no_files,
        states_rate=False,
    ),
    Format(
        name="mda",
        extractor=mda.MdaSortingExtractor,
        recognise=mda.is_firings_file,
        spike_files=_itself,
        label_files=_no_files,
        states_rate=False,
    ),
    Format(
        name="nwb",
        extractor=nwb.NwbSortingExtractor,
        recognise=nwb_files.is_nwb_file,
        spike_files=_itself,
        label_files=_no_files,
        states_rate=False,
    ),
]
