"""Bodies that nobody should send, many: no crash, no effect of what is refused, no forged line in the log."""
