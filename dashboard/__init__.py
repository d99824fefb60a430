"""The pages: markets, chart, actors, streams, gaps, requests, dead letters, system, alerts.

Views of the rows that others write and of our own API; nothing imports them, and they write nothing that the API or the
admin could not.
"""
