"""Reference data: which provider there is, its clock, the pairs it lists, the markets we keep.

Changed seldom and read by every other part.
No candles and no coverage.
"""
