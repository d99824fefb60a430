"""Reference data: which provider there is, its clock, the pairs it lists, the markets we have.

It changes seldom and every other part reads it.
No candles and no coverage.
"""
