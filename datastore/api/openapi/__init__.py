"""The OpenAPI document: schemas by topic, operations by address, put together in `document`.

A test compares every answer of the API with it; nothing at run time depends on it but its own two pages.
"""
