"""The rows of the data platform."""

from __future__ import annotations

from datastore.models.request import DatastoreRequest

__all__ = ["DatastoreRequest"]
