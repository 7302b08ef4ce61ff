"""Benchmarks: spikewire beside its peers, in interleaved runs; `make bench` runs them."""
