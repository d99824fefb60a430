"""CryptoCompare: frames of its socket (`stream`), pages of its REST history (`rest`), its HTTP client (`client`)."""
