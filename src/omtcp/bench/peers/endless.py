"""What a peer answers: a head that announces more than will ever be sent, and blocks of body."""

LENGTH = 1 << 50
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % LENGTH
BLOCK = bytes(64 << 10)
AHEAD = 4 * len(BLOCK)
"""Bytes unsent or unacknowledged that a stack is given at a time when its send does not wait."""
