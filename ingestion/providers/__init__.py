"""One folder per provider: its traits, frames, answers and names. `port` says what each of them is to the rest.

A provider turns what it is sent into typed events and outcomes, and refuses what it cannot read with a reason.
Nothing here connects, publishes, stores or waits, and only `table` names a provider.
"""
