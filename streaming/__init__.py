"""The stream of records: the broker's port (`broker.py`), what a record looks like, and one adapter per broker.

`broker_factory.connect` is the only place that chooses an adapter; nothing outside this package imports one.
Nothing of Django, of actors or of the database belongs here.
"""
