"""Small files that are read whole: text and JSON, of a bounded length."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from spikewire.core.errors import FormatError
from spikewire.extractors.files import open_binary

_MAX_TEXT_BYTES = 64 * 1024 * 1024


def read_bytes(path: Path, limit: int) -> bytes:
    """The content of a small file.

    Raises
    ------
    SortingFileNotFoundError
        If nothing is there.
    FormatError
        If it is longer than ``limit`` bytes.
    """
    with open_binary(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > limit:
            raise FormatError(f"{path}: {size} bytes are too many, at most {limit} are read")
        return file.read(limit)


def read_text(path: Path, limit: int = _MAX_TEXT_BYTES) -> str:
    """The text of a small UTF-8 file.

    Raises
    ------
    FormatError
        If it is not text, or longer than ``limit`` bytes.
    """
    try:
        return read_bytes(path, limit).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FormatError(f"{path}: not UTF-8 text ({error})") from error


def read_json_object(path: Path) -> dict[str, Any]:
    """The object that a JSON file holds.

    Raises
    ------
    FormatError
        If the file is not JSON, or holds something else than an object.
    """
    text = read_text(path)
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{path}: not JSON ({error})") from error
    if not isinstance(content, dict):
        raise FormatError(f"{path}: a JSON object was expected")
    return content
