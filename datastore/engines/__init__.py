"""Plain PostgreSQL tables or TimescaleDB, and how long trades are kept.

`rollups.database_engine()` is the only place that chooses between the two.
The write path and every read are the same on both.
"""
