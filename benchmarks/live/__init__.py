"""Live acquisition beside its peers."""
