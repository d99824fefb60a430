"""Who may ask, how often, and the signed ticket of a stream.

Counters live in Valkey, changed by the scripts of `lua_scripts`; keys are rows.
HTTP headers and answers belong to `datastore/api`.
"""
