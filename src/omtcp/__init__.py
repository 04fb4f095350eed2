"""One TCP connection over several uplinks, to any unmodified client."""
