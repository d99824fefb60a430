"""The database engine: plain PostgreSQL or TimescaleDB, its rollups, and how long trades are kept.

`rollups` is the one factory that chooses; nothing outside asks which engine it is.
Candles are the same bytes on both.
"""
