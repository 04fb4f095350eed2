"""HTTP/1.1 over an asyncio transport; h11 does the parsing and the framing."""
