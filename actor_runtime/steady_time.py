"""The database's steady time in Django's expressions, for what is measured between two writes of a row."""

from __future__ import annotations

from django.db.models import DateTimeField, Func


class SteadyNow(Func):
    """Steady time, as Now() is the clock's: no one sets it (datastore/sql/functions/steady_time.sql)."""

    template = "(SELECT steady_now())"  # as a subquery it is asked for once, not for each row
    output_field = DateTimeField()
