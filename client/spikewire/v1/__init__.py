"""Generated from protos/spikewire/v1 by make protos; do not edit."""
