"""How the `spikewire` command prints."""

from __future__ import annotations

import sys

import click
from rich.console import Console
from rich.text import Text


def stdout_console() -> Console:
    """Return where tables and drawings go."""
    # What is piped on is not cut to the width of a terminal that is not there.
    return Console() if sys.stdout.isatty() else Console(width=10_000)


def say(message: str) -> None:
    """Say how it went: on stderr, since stdout may be piped on."""
    click.echo(message, err=True)


def say_interrupted(message: str) -> None:
    """Say how it went until Ctrl-C, below the ^C of a terminal."""
    say(f"\n{message}" if sys.stderr.isatty() else message)


def text(value: object) -> Text:
    """Return text as it is: no markup, and nothing that would steer a terminal."""
    return Text(printable(str(value)))


def printable(value: str) -> str:
    """Return text without characters that would steer a terminal."""
    return "".join(c if c.isprintable() or c == "\n" else "\ufffd" for c in value)


def number(value: float | None) -> str:
    """Return a number for reading, "" if it is not known."""
    return "" if value is None else f"{value:,.15g}"


def duration(seconds: float) -> str:
    """Return a duration for reading, in the unit that suits it."""
    return f"{seconds * 1000:,.0f} ms" if abs(seconds) < 1 else f"{seconds:,.1f} s"
