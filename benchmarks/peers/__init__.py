"""What spikewire is measured beside; each module is a server to run and a client to call."""
