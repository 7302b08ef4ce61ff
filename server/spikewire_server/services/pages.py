"""Page tokens: where the next page of a list begins, opaque to clients."""

from __future__ import annotations

import base64
import binascii

from spikewire.core.errors import InvalidValueError

DEFAULT_PAGE_SIZE = 1_000
MAX_PAGE_SIZE = 10_000


def page_size(requested: int) -> int:
    """Return how many entries a page has, at most, for what a client asked.

    Raises
    ------
    InvalidValueError
        It is negative.
    """
    if requested < 0:
        raise InvalidValueError(f"field page_size: {requested} is negative")
    return min(requested or DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)


def page_token(last_name: str) -> str:
    """Return the token of the page that begins after a name."""
    return base64.urlsafe_b64encode(last_name.encode()).decode()


def name_before(token: str) -> str:
    """Return the name after which a page begins; empty for the first.

    Raises
    ------
    InvalidValueError
        The token is not one of ours.
    """
    try:
        return base64.b64decode(token.encode(), altchars=b"-_", validate=True).decode()
    except (binascii.Error, UnicodeError) as error:
        raise InvalidValueError("field page_token: not a next_page_token of this server") from error
