"""Metrics: the one table of them, and how many processes count in it together.

The lowest layer: it imports no other package of Candlekeep.
"""
