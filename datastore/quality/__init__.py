"""Checks of what is stored: candles against their trades and against the provider's, and how fresh a market is.

They find and report; repairs go through the ordinary write paths.
Nothing here takes part in storing a trade or answering a question.
"""
