"""Commands to a running server, over a Unix socket: the protocol, its two ends, and the places."""
