"""Puts the results into docs/benchmarks.md: `python -m benchmarks.page`."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

TREE = Path(__file__).parents[1]
PAGE = TREE / "docs" / "benchmarks.md"
RESULTS = TREE / "benchmarks" / "results"
RUNS = {"reads": "results", "live": "live results"}
"""What the runs are called in the page, by the names of their files."""
_HEAD = "| what | ours | peer | the peer's | ratio | target | met |\n|---|---|---|---|---|---|---|"


def results(run: str, folder: Path = RESULTS) -> str:
    """Return the results of the last run of a kind as Markdown."""
    rows = json.loads((folder / f"{run}.json").read_text("utf-8"))
    about = json.loads((folder / f"{run}.run.json").read_text("utf-8"))
    table = "\n".join([_HEAD, *map(_line, rows)])
    notes = "".join(f"\n{note}\n" for note in about["notes"])
    return f"{_circumstances(about)}\n\n{table}\n{notes}"


def filled(page: str) -> str:
    """Return the page with the results of all runs in their places."""
    for run, title in RUNS.items():
        text = results(run)
        place = re.compile(rf"(<!-- {title}: .* -->\n).*(<!-- end of {title} -->)", re.DOTALL)
        page = place.sub(lambda found, text=text: f"{found[1]}{text}{found[2]}", page)
    return page


def short(value: float) -> str:
    """Return a figure with as many digits as it deserves."""
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def _line(row: dict[str, Any]) -> str:
    alone = row["peer"] is None
    cells = (
        *(row["name"], short(row["ours"]), row["peer_name"]),
        *(("", "") if alone else (short(row["peer"]), short(row["ratio"]))),
        *(row["target"] or "", {None: "", True: "yes", False: "**no**"}[row["met"]]),
    )
    return f"| {' | '.join(cells)} |"


def _circumstances(run: dict[str, Any]) -> str:
    machine = run["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in run["versions"].items())
    return (
        f"`{run['command']}` on {run['date']}: {machine['cores']} cores of {machine['cpu']}, "
        f"{machine['memory_gib']} GiB, {machine['system']}, load {machine['load'][0]} at the end; "
        f"Python {run['python']}, {versions}."
    )


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text("utf-8")), "utf-8")
