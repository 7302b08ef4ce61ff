"""Other libraries' objects, and class paths that dumps name: one module a library.

Each imports its library, so none is imported before it is used.
"""
