"""What a name of a sorting, and a key of its metadata, can look like."""

from __future__ import annotations

import unicodedata

from spikewire.core.errors import InvalidNameError
from spikewire.wire.errors import with_metadata

MAX_NAME_BYTES = 512

# Control characters, halves of surrogate pairs, and line separators: what breaks a line
# of a listing or a log, or cannot be written as UTF-8 at all.
_REFUSED_CATEGORIES = {"Cc": "a control character", "Cs": "half a surrogate pair"}
_REFUSED_CATEGORIES |= {"Zl": "a line separator", "Zp": "a paragraph separator"}


def check_name(name: str) -> str:
    """Return `name`, if a sorting can have it.

    Names are paths, ``label/rat7/2026-11-22/probe0``: case-sensitive components
    between single slashes, in Unicode NFC, at most 512 bytes of UTF-8.

    Raises
    ------
    InvalidNameError
        If it breaks a rule; the message says which.
    """
    _check_text(name, "name")
    for component in name.split("/"):
        if component == "":
            raise _refusal(name, "name", "has an empty component: no slash at the ends, none twice")
        if component in (".", ".."):
            raise _refusal(name, "name", f"has the component {component!r}")
    return name


def is_name(name: str) -> bool:
    """Return whether a sorting can have this name."""
    try:
        check_name(name)
    except InvalidNameError:
        return False
    return True


def check_key(key: str) -> str:
    """Return `key`, if a property or an annotation can have it.

    Keys are text in any Unicode form, at most 512 bytes of UTF-8, without
    control characters.

    Raises
    ------
    InvalidNameError
        If it breaks a rule; the message says which.
    """
    _check_text(key, "key")
    return key


def first_component(name: str) -> str:
    """Return what stands before the first slash: the label, if the name is in a root."""
    return name.partition("/")[0]


def _check_text(text: str, what: str) -> None:
    if not text:
        raise _refusal(text, what, "is empty")
    # Counted in characters first: a megabyte of text need not be encoded to be refused.
    if len(text) > MAX_NAME_BYTES or len(text.encode(errors="replace")) > MAX_NAME_BYTES:
        raise _refusal(text, what, f"is longer than {MAX_NAME_BYTES} bytes")
    for character in text:
        refused = _REFUSED_CATEGORIES.get(unicodedata.category(character))
        if refused is not None:
            raise _refusal(text, what, f"has {refused}, U+{ord(character):04X}")
    if what == "name" and not unicodedata.is_normalized("NFC", text):
        raise _refusal(text, what, "is not in Unicode normalization form C")


def _refusal(text: str, what: str, rule: str) -> InvalidNameError:
    shown = repr(text if len(text) <= 80 else text[:77] + "...")
    return with_metadata(InvalidNameError(f"the {what} {shown} {rule}"), name=shown)
