"""A provider to run against: invented or recorded trades in CryptoCompare's formats, over real HTTP and WebSocket."""
