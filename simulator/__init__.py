"""A provider to test against: generated or recorded trades in the formats of CryptoCompare and of venues."""
