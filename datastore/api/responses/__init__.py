"""Typed values -> bytes: JSON, problems, pages, compression, and the cache of answers to common questions.

Nothing here decides what is answered.
"""
