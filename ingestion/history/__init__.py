"""From the provider's REST pages to candle-data, within the provider's quota.

The history Producer takes one FetchRequest at a time under a lease, and goes on where a killed one stopped.
Which stretches are asked for is decided in the datastore, not here.
"""
