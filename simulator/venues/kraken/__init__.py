"""Kraken: socket v2 with the channel trade, REST with errors in HTTP 200."""
