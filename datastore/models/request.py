"""The Datastore's state chart: one row per request that had to fetch, or failed."""

from __future__ import annotations

from datetime import datetime

from django.db import models
from django.utils import timezone
from django_fsm import transition

from actor_runtime.models import Actor, role_field, state_field

# Marks the two transitions of the chart that no event triggers.
AUTOMATIC = {"automatic": True}


class DatastoreRequest(Actor):
    """An application's request, from the question to the answer."""

    class State(models.TextChoices):
        """The states of the specification."""

        IDLE = "idle", "Idle"
        PROCESSING_REQUEST = "processing_request", "Processing Request"
        QUERYING_DB = "querying_db", "Querying DB"
        DATA_FOUND = "data_found", "Data Found"
        DATA_NOT_FOUND = "data_not_found", "Data Not Found"
        REQUESTING_DATA_FETCH = "requesting_data_fetch", "Requesting Data Fetch"
        WAITING_FOR_DATA = "waiting_for_data", "Waiting for Data"
        RETURNING_DATA = "returning_data", "Returning Data"
        ERROR = "error", "Error"

    # A hit in cache or database takes these transitions in memory, some hundred times a second.
    hot_events = frozenset(
        {
            "request_data",
            "start_db_query",
            "db_query_success",
            "db_query_empty",
            "return_what_was_found",
            "ask_for_what_is_missing",
            "return_data_success",
        }
    )
    done_events = frozenset({"return_data_success"})
    places = {
        "idle": (0, 0),
        "processing_request": (1, 0),
        "querying_db": (2, 0),
        "data_found": (1, 1),
        "data_not_found": (3, 1),
        "requesting_data_fetch": (3, 2),
        "waiting_for_data": (2, 2),
        "returning_data": (0, 2),
        "error": (2, 3),
    }

    interchangeable = False

    role = role_field("request")
    state = state_field(State, State.IDLE)
    market = models.TextField(default="", editable=False, help_text="Symbol asked for.")
    timeframe = models.TextField(default="", editable=False)
    start = models.DateTimeField(null=True, editable=False)
    stop = models.DateTimeField(null=True, editable=False)
    fetches = models.JSONField(default=list, editable=False, help_text="Ids of the FetchRequests it waits for.")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    returning_since = models.DateTimeField(null=True, editable=False, help_text="When its answer became ready.")

    class Meta(Actor.Meta):
        permissions = [("reset_datastorerequest", "Can reset datastore requests in Error")]

    @transition(field="state", source=State.IDLE, target=State.PROCESSING_REQUEST)
    def request_data(self) -> None:
        """Accept an application's request."""

    @transition(field="state", source=State.PROCESSING_REQUEST, target=State.QUERYING_DB)
    def start_db_query(self) -> None:
        """Start to read cache and database."""

    @transition(field="state", source=State.QUERYING_DB, target=State.DATA_FOUND)
    def db_query_success(self) -> None:
        """Note that everything asked for is stored."""

    @transition(field="state", source=State.QUERYING_DB, target=State.DATA_NOT_FOUND)
    def db_query_empty(self) -> None:
        """Note that something is missing."""

    @transition(field="state", source=State.QUERYING_DB, target=State.ERROR)
    def db_query_failure(self, *, reason: str, by: str = "", at: datetime | None = None) -> None:
        """Fail: cache or database cannot be read."""

    @transition(field="state", source=State.DATA_FOUND, target=State.RETURNING_DATA, custom=AUTOMATIC)
    def return_what_was_found(self) -> None:
        """Start to answer."""

    @transition(field="state", source=State.DATA_NOT_FOUND, target=State.REQUESTING_DATA_FETCH, custom=AUTOMATIC)
    def ask_for_what_is_missing(self) -> None:
        """Start to ask the Coordinator for what is missing."""

    @transition(field="state", source=State.REQUESTING_DATA_FETCH, target=State.WAITING_FOR_DATA)
    def fetch_instructions_sent(self) -> None:
        """Wait: the Coordinator was asked."""

    @transition(field="state", source=State.WAITING_FOR_DATA, target=State.RETURNING_DATA)
    def data_fetched(self) -> None:
        """Start to answer: the fetched data is stored."""

    @transition(field="state", source=State.WAITING_FOR_DATA, target=State.ERROR)
    def data_fetch_failed(self, *, reason: str, by: str = "", at: datetime | None = None) -> None:
        """Fail: the fetch failed."""

    @transition(field="state", source=State.RETURNING_DATA, target=State.IDLE)
    def return_data_success(self) -> None:
        """End the request: the answer was given."""

    @transition(field="state", source=State.RETURNING_DATA, target=State.IDLE)
    def return_data_failure(self, *, reason: str, by: str = "", at: datetime | None = None) -> None:
        """End the request: the answer was not collected."""

    @transition(field="state", source=State.ERROR, target=State.IDLE)
    def reset(self, *, by: str) -> None:
        """Leave Error."""
