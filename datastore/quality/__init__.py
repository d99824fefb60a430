"""Checks of what is stored: candles against their trades and the provider's, and how fresh a market is.

They find and report; what heals goes through the ordinary write paths.
Nothing here is on the way of a trade or of a question.
"""
