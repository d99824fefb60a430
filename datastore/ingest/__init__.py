"""The write path of live trades, in the order in which a batch takes it.

live_batch (by market, as columns by trade_columns) -> live_write (one transaction: feed_sequence, id_write,
trade_conflicts, bridges) -> market_cache (Valkey, after commit).
Nothing here reads a series or asks a provider.
"""
