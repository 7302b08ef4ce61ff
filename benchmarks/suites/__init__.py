"""What is measured; each module has a function `measure` that takes a `Bench`."""

from benchmarks.suites import bulk, latency

SUITES = {
    "bulk": bulk.measure,
    "latency": latency.measure,
}
"""By name, in the order in which they run."""
