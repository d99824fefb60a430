"""One folder per provider: its frames, its REST answers, its client and its limits.

A provider turns what it is sent into the stream's records and refuses what it cannot read, with a reason.
Nothing here publishes, stores or waits. `live` and `history` import the one provider that there is by name.
"""
