"""The REST API under /api/v1/: `params` parses a question, `views` answer it, `responses` turn the answer into bytes.

`auth` is who asks, `openapi` the document of all of it.
Views ask the packages below and decide nothing about candles themselves.
"""
