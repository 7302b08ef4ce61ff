"""Names to sortings: roots, store, catalogue, views."""
