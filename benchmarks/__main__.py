"""`make bench`: remote reads beside their peers, in interleaved runs.

Only ratios mean something: both sides of one are measured in turn, on the same
machine, in the same minute. Prints tables; writes `reads.json`, and how it came
about beside it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.data import WrongTransferError
from benchmarks.report import Report
from benchmarks.suites import SUITES

RESULTS = Path(__file__).parent / "results"


def main() -> None:
    options = _options()
    report = Report()
    failed = False
    if options.data is not None:
        options.data.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="spikewire-bench-", dir=options.data) as name:
        bench = Bench(
            report=report,
            root=_made(Path(name if options.data is None else options.data) / "sortings"),
            store=Path(name) / "store",
            spikes=options.spikes,
            rounds=options.rounds,
            full=options.full,
        )
        for suite in options.only:
            begun = time.monotonic()
            try:
                SUITES[suite](bench)
            except WrongTransferError as error:
                failed = True
                report.note(f"{suite} does not count: {error}")
            print(f"\n({suite}: {time.monotonic() - begun:.0f} s)", flush=True)
    report.write(options.results, "reads", _command(options))
    sys.exit(failed)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("--spikes", type=int, default=10_000_000, help="of the usual sorting")
    parser.add_argument("--rounds", type=int, default=7, help="of each measurement")
    parser.add_argument("--only", nargs="+", choices=SUITES, default=list(SUITES))
    parser.add_argument("--full", action="store_true", help="up to 1e9 spikes: 35 GB of disk")
    parser.add_argument(
        "--data", type=Path, help="keep the made-up sortings in this folder, to use them again"
    )
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the JSON files")
    return parser.parse_args()


def _command(options: argparse.Namespace) -> str:
    """Return what to type for the same, folders left out: they are of one machine."""
    words = ["python -m benchmarks", f"--spikes {options.spikes}", f"--rounds {options.rounds}"]
    if options.only != list(SUITES):
        words += ["--only", *options.only]
    if options.full:
        words.append("--full")
    return " ".join(words)


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


if __name__ == "__main__":
    main()
