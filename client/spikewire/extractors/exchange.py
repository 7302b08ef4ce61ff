"""Two paths swapped in one step, on systems that can."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

# For both calls: swap, instead of replace.
_SWAP = 2
_AT_CURRENT_FOLDER = -100


def exchange(one: Path, other: Path) -> bool:
    """Swap two files or folders, both of which exist, so that nobody finds one missing.

    Returns
    -------
    bool
        Whether it was done. It is not where the system or the file system cannot;
        then nothing has changed.
    """
    names = os.fsencode(one), os.fsencode(other)
    if sys.platform == "linux":
        call = _c_function("renameat2")
        return call is not None and not call(
            _AT_CURRENT_FOLDER, names[0], _AT_CURRENT_FOLDER, names[1], ctypes.c_uint(_SWAP)
        )
    if sys.platform == "darwin":
        call = _c_function("renamex_np")
        return call is not None and not call(*names, ctypes.c_uint(_SWAP))
    return False


def _c_function(name: str) -> ctypes._NamedFuncPointer | None:
    # Older C libraries do not have it.
    return getattr(ctypes.CDLL(None), name, None)
