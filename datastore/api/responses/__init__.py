"""Typed values -> bytes: JSON, problems, pages, compression, and the cache of answers that are asked for often.

Nothing here decides what is answered.
"""
