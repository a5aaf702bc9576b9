"""The use cases: what must be so, in which order, and what to undo. No I/O library is imported here."""
