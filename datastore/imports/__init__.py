"""Imports of files: a venue's published history, checked as a whole before any of it is written.

A source (binance_files.py) knows a format and makes typed rows of its lines; checked_file.py keeps what was checked;
the writers (candle_import.py, trade_import.py) know rows only, and store them by the write paths of REST history and of
live trades. Nothing here fetches anything.
"""
