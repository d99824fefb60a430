"""What a client sends on an open connection, and what it is answered. Pure."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

MESSAGES_PER_SECOND = 10  # of one client; one that sends more is disconnected
UNKNOWN_PROPERTY, BAD_VALUE, BAD_REQUEST, BAD_JSON = 0, 1, 2, 3  # Binance's codes
COMBINED = "combined"


class Command(msgspec.Struct, frozen=True):
    """One message; params are names of streams, or the name of a property and its value."""

    method: Literal["SUBSCRIBE", "UNSUBSCRIBE", "LIST_SUBSCRIPTIONS", "SET_PROPERTY", "GET_PROPERTY"]
    params: list[str | bool] = []
    id: int | str | None = None


class BadCommand(Exception):
    """A message that cannot be followed, with its code."""

    def __init__(self, code: int, sentence: str, id: Any = None) -> None:
        super().__init__(sentence)
        self.code, self.sentence, self.id = code, sentence, id


_decoder = msgspec.json.Decoder(Command)


def read_command(text: str | bytes) -> Command:
    """Return what a client asks. Raises BadCommand."""
    try:
        return _decoder.decode(text)
    except msgspec.ValidationError as exc:
        sent = msgspec.json.decode(text)
        id = sent.get("id") if isinstance(sent, dict) and isinstance(sent.get("id"), int | str) else None
        raise BadCommand(BAD_REQUEST, f"Invalid request: {exc}", id) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise BadCommand(BAD_JSON, f"Invalid JSON: {exc}") from None


def names_in(command: Command) -> list[str]:
    """Return the names of streams in a command. Raises BadCommand."""
    names = [each for each in command.params if isinstance(each, str)]
    if not names or len(names) != len(command.params):
        raise BadCommand(BAD_REQUEST, "Invalid request: params must be a list of names of streams", command.id)
    return names


def result(value: Any, id: Any) -> str:
    """Return the answer to a command that was followed."""
    return msgspec.json.encode({"result": value, "id": id}).decode()


def error(bad: BadCommand) -> str:
    """Return the answer to one that was not."""
    return msgspec.json.encode({"error": {"code": bad.code, "msg": bad.sentence}, "id": bad.id}).decode()
