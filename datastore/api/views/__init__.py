"""One file per family of addresses.

A view parses, asks one function of the datastore, and hands the result to `responses`.
SQL and the rules of candles are not here.
"""
