"""The spikewire server: an application of the spikewire library."""
