"""One servicer a proto service: parse, ask, stream; nothing else."""
