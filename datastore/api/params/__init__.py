"""Text of a question -> typed values, or an error that names the parameter.

One table per address holds its parsers; the OpenAPI document reads the same tables.
Pure, but for `market_lookup`, which needs the markets' rows.
"""
