"""The Datastore: stores trades and candles, proves what is complete, and answers questions over HTTP.

Its folders from bottom to top, each importing only what comes before it:
timeframes, models, db < reference, access < coverage, ingest < series, backfill, quality < requests, streams, engines,
imports < datastore_actor < api < sse < management. SQL about market data is
written here only, most of it in `sql/`.
"""
