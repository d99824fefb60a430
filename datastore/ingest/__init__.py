"""The write path of live trades, in the order in which a batch walks it.

trade_columns -> feed_sequence -> live_batch -> live_write and trade_conflicts (one
transaction) -> market_cache (Valkey, after commit).
Nothing here reads a series or asks a provider.
"""
