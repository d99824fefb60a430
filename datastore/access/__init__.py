"""Who may ask, how often, and the signed ticket of a stream.

API keys are rows; rate limits are counters in Valkey, changed by scripts that `lua_scripts` runs.
HTTP headers and answers belong to `datastore/api`.
"""
