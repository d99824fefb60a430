"""Calendar arithmetic: timeframes and their buckets, intervals of time, UTC days.

Pure functions over integers and datetimes; any package may import them.
No database, no settings, no clock.
"""
