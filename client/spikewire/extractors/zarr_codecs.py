"""Chunks of zarr arrays to values and back, within bounds that the description sets.

Only Blosc is taken from outside, and only when there is such a chunk.
"""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from spikewire.core.dtypes import AnyArray
from spikewire.core.errors import FormatError, MissingExtraError

#: How SpikeInterface compresses spikes, and the filters that it puts before.
BLOSC = {"id": "blosc", "cname": "zstd", "clevel": 5, "shuffle": 2, "blocksize": 0}
DELTA = {"id": "delta", "dtype": "<i8", "astype": "<i8"}
#: numcodecs' JSON, for objects.
JSON = {
    "id": "json2",
    "encoding": "utf-8",
    "allow_nan": True,
    "check_circular": True,
    "ensure_ascii": True,
    "indent": None,
    "separators": [",", ":"],
    "skipkeys": False,
    "sort_keys": True,
    "strict": True,
}
_BLOSC_HEADER_BYTES = 16


def decompressed(data: bytes, size: int, compressor: Any, path: Path) -> bytes:
    """The bytes of a chunk, exactly as many as there should be."""
    codec = compressor.get("id") if isinstance(compressor, dict) else compressor
    if codec == "blosc":
        # The library takes the sizes in the header at their word.
        header_size = int.from_bytes(data[4:8], "little")
        stored_size = int.from_bytes(data[12:16], "little")
        if len(data) < _BLOSC_HEADER_BYTES or header_size != size or stored_size != len(data):
            raise FormatError(f"{path}: the compressed chunk is damaged")
        try:
            data = blosc().decompress(data)
        except (RuntimeError, ValueError) as error:
            raise FormatError(f"{path}: the compressed chunk is damaged ({error})") from error
    elif codec in ("zlib", "gzip"):
        try:
            data = zlib.decompressobj(wbits=47).decompress(data, size + 1)
        except zlib.error as error:
            raise FormatError(f"{path}: the compressed chunk is damaged ({error})") from error
    elif codec is not None:
        raise FormatError(f"{path}: chunks compressed with {codec!r} are not read")
    if len(data) != size:
        raise FormatError(f"{path}: the chunk should hold {size} bytes, it holds {len(data)}")
    return data


def without_delta(values: AnyArray, codec: Any, dtype: np.dtype[Any], path: Path) -> AnyArray:
    """Undo the filter that stores differences."""
    if dtype.kind not in "iu" or codec != {"id": "delta", "dtype": dtype.str, "astype": dtype.str}:
        raise FormatError(f"{path}: chunks filtered by {codec!r} are not read")
    return np.cumsum(values, dtype=dtype)


def is_json(filters: list[Any]) -> bool:
    """Whether chunks are objects as JSON."""
    return len(filters) == 1 and isinstance(filters[0], dict) and filters[0].get("id") == "json2"


def json_of_objects(values: AnyArray) -> bytes:
    """Objects as numcodecs' JSON filter stores them: type and shape are the last two items."""
    content = [*values.tolist(), values.dtype.str, values.shape]
    return json.dumps(content).encode()


def objects_of_json(data: bytes, shape: tuple[int, ...], path: Path) -> AnyArray:
    """The objects in a chunk."""
    try:
        *items, _, stored_shape = json.loads(data)
    except (ValueError, TypeError, RecursionError) as error:
        raise FormatError(f"{path}: not JSON of objects ({error})") from error
    if stored_shape != list(shape):
        raise FormatError(f"{path}: objects of shape {stored_shape!r}, not {shape}")
    values = np.empty(shape, dtype=object)
    for place in np.ndindex(shape):
        item: Any = items
        for index in place:
            if not isinstance(item, list) or index >= len(item):
                raise FormatError(f"{path}: some objects are missing")
            item = item[index]
        values[place] = item
    return values


def blosc() -> Any:
    """The module `numcodecs.blosc`.

    Raises
    ------
    MissingExtraError
        If numcodecs is not installed.
    """
    try:
        from numcodecs import blosc as module
    except ImportError as error:
        raise MissingExtraError(
            "compressed zarr folders need numcodecs: pip install 'spikewire[zarr]'"
        ) from error
    return module
