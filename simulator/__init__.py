"""A provider to test against: generated or recorded trades in CryptoCompare's formats, over HTTP and WebSocket."""
