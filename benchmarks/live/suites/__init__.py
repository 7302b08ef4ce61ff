"""What is measured; each module has a function `measure` that takes a `LiveBench`."""

from benchmarks.live.suites import beside_bulk, fan_out, latency, throughput

SUITES = {
    "latency": latency.measure,
    "throughput": throughput.measure,
    "fan_out": fan_out.measure,
    "beside_bulk": beside_bulk.measure,
}
"""By name, in the order in which they run."""
