"""Recording live: what a rig writes with, and what followers read with."""
