"""How transitions are stored: buffered on the actor, written with its row in one statement.

Writes check the epoch, so a process that lost an actor cannot write its row.
Which transitions exist is decided by the chart (`models.py`), never here.
"""
