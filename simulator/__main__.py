"""`python -m simulator`: run a provider on one port, and venues on others, until SIGTERM or SIGINT.

The first line names the provider's address, each further one a venue's:

    simulator: coinbase on http://127.0.0.1:8101 and ws://127.0.0.1:8101

`GET /control/venues` on the provider's port has the same addresses as JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import uvicorn

from simulator.app import ByPort, create_app
from simulator.config import Config
from simulator.market import LISTED_SINCE_HOUR
from simulator.pairs import Pair
from simulator.provider import HomeInUse
from simulator.venues.table import VENUES

Number = TypeVar("Number", int, float)
SWITCH_S = 0.0005
DEFAULT_MARKETS = "coinbase:BTC-USD,coinbase:ETH-USD"


def parser() -> argparse.ArgumentParser:
    """Return the parser of the options; it exits with 2 and names the option if a value is bad."""
    options = argparse.ArgumentParser(prog="simulator", description="A simulated CryptoCompare: REST and streamer.")
    options.add_argument("--host", default="127.0.0.1")
    options.add_argument("--port", type=_number(int, 0, 65_535), default=8100, help="0 takes a free port and prints it")
    options.add_argument(
        "--venues",
        type=_venues,
        default={},
        metavar="NAME[=PORT],…",
        help=f"serve them in their own protocols, too: {', '.join(VENUES)}; without a port each takes a free one",
    )
    options.add_argument("--no-limits", action="store_true", help="venues count, but never refuse, what is too much")
    options.add_argument("--home", type=Path, required=True, help="folder for clock, replay shift and log")
    options.add_argument("--seed", type=_number(int, 0, 2**63), default=1)
    options.add_argument("--markets", type=_markets, default=DEFAULT_MARKETS, help="exchange:BASE-QUOTE,…")
    options.add_argument("--listed", type=_markets, default=(), help="more pairs that clients may request")
    options.add_argument("--rate", type=_number(float, 0.001, 10_000), help="trades per second of every market")
    options.add_argument(
        "--since", type=_hour, default=LISTED_SINCE_HOUR, metavar="DATE", help="YYYY-MM-DD; no market has trades before"
    )
    options.add_argument(
        "--speed", type=_number(float, 1, 20), default=1.0, help="how fast its clock runs, 1 to 20 times"
    )
    options.add_argument("--replay", type=Path, metavar="FILE", help="CSV: time_ns,trade_id,price,amount,side")
    options.add_argument(
        "--replay-market", type=_market, help="the market that the recording replaces; default: the first"
    )
    options.add_argument(
        "--replay-lead", type=_number(float, 0, 86_400), help="simulator seconds before the recording starts"
    )
    options.add_argument("--retention-days", type=_number(int, 1, 3650), default=400, help="of minute candles")
    options.add_argument(
        "--days-ahead", type=_number(int, 0, 3650), default=0, help="daily candles computed before they are asked for"
    )
    options.add_argument("--key", help="the only API key accepted; default: any key, or none")
    return options


def _number(kind: Callable[[str], Number], low: Number, high: Number) -> Callable[[str], Number]:
    """Return a parser of numbers within bounds, as an argparse type."""

    def number(text: str) -> Number:
        try:
            value = kind(text)
        except ValueError as exc:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number") from exc
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{text} is not between {low} and {high}")
        return value

    return number


def _hour(text: str) -> int:
    try:
        return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) // 3600
    except ValueError as exc:
        raise argparse.ArgumentTypeError(f"{text!r} is not a date") from exc


def _market(text: str) -> Pair:
    try:
        return Pair.parse(text)
    except ValueError as exc:
        raise argparse.ArgumentTypeError(str(exc)) from exc


def _markets(text: str) -> tuple[Pair, ...]:
    pairs = tuple(_market(part.strip()) for part in text.split(","))
    if len(set(pairs)) < len(pairs):
        raise argparse.ArgumentTypeError("a market is named twice")
    return pairs


def _venues(text: str) -> dict[str, int]:
    """Return the port of each venue, 0 where it does not matter."""
    found: dict[str, int] = {}
    for part in text.split(","):
        name, _, port = part.strip().partition("=")
        if name not in VENUES:
            raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(VENUES)}")
        if name in found:
            raise argparse.ArgumentTypeError(f"{name} is named twice")
        found[name] = _number(int, 0, 65_535)(port or "0")
    return found


def read_options(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the options of the command line; exit with 2 if they do not fit together."""
    options = parser()
    found = options.parse_args(argv)
    if found.replay is None and (found.replay_market or found.replay_lead is not None):
        options.error("argument --replay-market and --replay-lead: need --replay")
    if found.replay_market and found.replay_market not in found.markets:
        options.error(f"argument --replay-market: {found.replay_market} is not one of --markets")
    if found.replay and not found.replay.is_file():
        options.error(f"argument --replay: there is no file {found.replay}")
    return found


def configure(options: argparse.Namespace) -> Config:
    """Return the simulator's configuration from its options."""
    return Config(
        home=options.home,
        markets=options.markets,
        listed=options.listed,
        seed=options.seed,
        rate=options.rate,
        speed=options.speed,
        replay=options.replay,
        replay_market=options.replay_market,
        replay_lead=options.replay_lead,
        retention_days=options.retention_days,
        key=options.key,
        days_ahead=options.days_ahead,
        since=options.since,
        venues=tuple(options.venues),
        limited=not options.no_limits,
    )


class Server(uvicorn.Server):
    """A server that exits with 0 on a signal; uvicorn's own raises the signal again after shutdown."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop at SIGTERM and SIGINT."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self.handle_exit)
        yield


# uvicorn reports these as errors, but they are intended: a refused handshake, and not waiting for readers at the end.
EXPECTED_MESSAGES = ("ASGI callable returned without completing handshake.", "Cancel %s running task(s)")


def _is_expected(record: logging.LogRecord) -> bool:
    cancelled = bool(record.exc_info and isinstance(record.exc_info[1], asyncio.CancelledError))
    return cancelled or str(record.msg).startswith(EXPECTED_MESSAGES)


def _listener(host: str, port: int) -> socket.socket:
    """Return a socket that is bound; raise OSError that names the port."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as exc:
        listener.close()
        raise OSError(exc.errno, f"port {port}: {exc.strerror}") from exc
    return listener


def main(argv: Sequence[str] | None = None) -> int:
    """Run a simulator; return the exit status."""
    options = read_options(argv)
    try:
        listeners = [_listener(options.host, port) for port in (options.port, *options.venues.values())]
        app = ByPort(create_app(configure(options)))
    except (HomeInUse, OSError, ValueError) as exc:
        print(f"simulator: {options.host}:{options.port}, {options.home}: {exc}", file=sys.stderr)
        return 1
    host, port = listeners[0].getsockname()
    app.serve_venues(
        host, {name: listener.getsockname()[1] for name, listener in zip(options.venues, listeners[1:], strict=True)}
    )
    state = app.main.state
    print(f"simulator: {state.provider.identity} on http://{host}:{port} and ws://{host}:{port}/v2")
    for name, served in state.venues.items():
        print(f"simulator: {name} on {served.venue.rest_url} and {served.venue.ws_url}")
    sys.stdout.flush()
    # The feed's loop gives way to threads that compute histories at each of its many short waits for the network, and
    # gets its turn back after so long.
    sys.setswitchinterval(SWITCH_S)
    # A process that is forked has inherited the logs of its starter.
    logging.basicConfig(level=logging.ERROR, format="simulator: %(message)s", force=True)
    logging.getLogger("uvicorn.error").addFilter(lambda record: not _is_expected(record))
    server = Server(
        uvicorn.Config(
            app,
            ws="websockets-sansio",
            ws_ping_interval=30,
            ws_ping_timeout=20,
            ws_per_message_deflate=False,
            date_header=False,
            log_config=None,
            log_level="error",
            access_log=False,
            timeout_graceful_shutdown=1,
        )
    )
    server.run(sockets=listeners)
    return 0


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    # A thread may still compute years of days for a client that is gone; an ordinary exit would wait for it.
    os._exit(status)
