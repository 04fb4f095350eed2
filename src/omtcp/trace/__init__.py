"""Typed events of a connection's life, and the sinks that keep them."""
