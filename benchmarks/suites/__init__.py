"""What is measured; each module has a function `measure` that takes a `Bench`."""

from benchmarks.suites import bulk, indexing, latency, links, readers, sizes, wire_bytes

SUITES = {
    "bulk": bulk.measure,
    "latency": latency.measure,
    "wire_bytes": wire_bytes.measure,
    "links": links.measure,
    "readers": readers.measure,
    "indexing": indexing.measure,
    "sizes": sizes.measure,
}
"""By name, in the order in which they run."""
