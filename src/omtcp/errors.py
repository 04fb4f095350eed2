"""What can go wrong, one class per question a caller asks.

Anything that omtcp raises and that is not an `OmtcpError` is a bug in omtcp.
"""


class OmtcpError(Exception):
    """Base of every error that omtcp raises on purpose; never raised itself."""


class LocalError(OmtcpError):
    """The caller asked for something that cannot be: a closed connection, a bad option."""


class SetupError(LocalError):
    """The host cannot be prepared as asked; the message is one line for a terminal."""


class PeerError(OmtcpError):
    """The other end broke the protocol, or ended the connection."""


class WireError(PeerError):
    """A packet that cannot be parsed, whatever is wrong with it."""


class PeerResetError(PeerError):
    """The peer sent an acceptable RST (RFC 9293 section 3.5.3)."""


class PeerTimeoutError(PeerError):
    """No path carried anything for the user timeout R2 (RFC 9293 section 3.8.3)."""


class PathError(OmtcpError):
    """One path died; the connection goes on over the others."""
