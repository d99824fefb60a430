"""The streamer's frames as text; fields and spelling follow the provider's documentation and captured payloads."""

from __future__ import annotations

import json

from simulator.numerals import as_sent
from simulator.pairs import Pair
from simulator.trades import SECOND_NS, Trade

MILLISECOND_NS = SECOND_NS // 1000
SOCKET_LIMITS = {"SECOND": 30, "MINUTE": 60, "HOUR": 1200, "DAY": 10_000, "MONTH": 20_000}


def trade_frame(pair: Pair, trade: Trade, places: int) -> str:
    """Return a TYPE 0 frame; price and amount keep their text, `places` are the decimals of their product."""
    venue = pair.venue
    ts, ts_rest = divmod(trade.ts, SECOND_NS)
    rts, rts_rest = divmod(trade.rts, SECOND_NS)
    ccseq = "" if trade.ccseq is None else f',"CCSEQ":{trade.ccseq}'
    rest = "" if venue.step == SECOND_NS else f',"TSNS":{ts_rest}'
    return (
        f'{{"TYPE":"0","M":"{venue.name}","FSYM":"{pair.base}","TSYM":"{pair.quote}","F":"{1 if trade.sell else 2}",'
        f'"ID":"{trade.id}","TS":{ts},"Q":{trade.amount_text},"P":{trade.price_text},'
        f'"TOTAL":{as_sent(trade.price * trade.amount, places)},"RTS":{rts}{ccseq}{rest},"RTSNS":{rts_rest}}}'
    )


def trade_line(pair: Pair, trade: Trade) -> str:
    """Return the log line of a sent trade, without socket and time, which Streamer.write adds."""
    return (
        f'"event":"trade","market":"{pair}","id":"{trade.id}","ccseq":{"null" if trade.ccseq is None else trade.ccseq},'
        f'"ts":{trade.ts},"rts":{trade.rts},"price":"{trade.price_text}","amount":"{trade.amount_text}"'
    )


def control_frame(kind: int, message: str, **fields: object) -> str:
    """Return a frame that is not a trade."""
    return json.dumps({"TYPE": str(kind), "MESSAGE": message, **fields}, separators=(",", ":"))


def welcome_frame(now: int, client: int, uptime: int, opened: dict[str, int]) -> str:
    """Return STREAMERWELCOME; `opened` counts this key's sockets per period."""
    limits = {f"RATELIMIT_MAX_{period}": most for period, most in SOCKET_LIMITS.items()}
    left = {f"RATELIMIT_REMAINING_{period}": max(0, most - opened[period]) for period, most in SOCKET_LIMITS.items()}
    return control_frame(
        20,
        "STREAMERWELCOME",
        SERVER_UPTIME_SECONDS=uptime,
        SERVER_NAME="01",
        SERVER_TIME_MS=now // MILLISECOND_NS,
        CLIENT_ID=client,
        DATA_FORMAT="JSON",
        SOCKET_ID=f"simulated-{client}",
        SOCKETS_ACTIVE=1,
        SOCKETS_REMAINING=0,
        **limits,
        **left,
    )


def heartbeat_frame(now: int) -> str:
    """Return HEARTBEAT; every trade discovered before its time was sent before it."""
    return control_frame(999, "HEARTBEAT", TIMEMS=now // MILLISECOND_NS)


def error_frame(kind: int, message: str, parameter: str, info: str) -> str:
    """Return an error frame; PARAMETER names what was wrong with the request."""
    return control_frame(kind, message, PARAMETER=parameter, INFO=info)
