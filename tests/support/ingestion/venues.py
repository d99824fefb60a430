"""The venues as tests know them: how each spells a trade, and a made-up market that answers its pages."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from datastore.reference.pairs import Listed
from datastore.timeframes.intervals import moment
from ingestion.providers.answers import Answer, TradeMark
from ingestion.providers.binance.provider import PROVIDER as BINANCE
from ingestion.providers.binance.provider import US_PROVIDER as BINANCE_US
from ingestion.providers.coinbase.provider import PROVIDER as COINBASE
from ingestion.providers.kraken.provider import PROVIDER as KRAKEN
from ingestion.providers.okx.provider import PROVIDER as OKX
from ingestion.providers.port import Provider

SAMPLES = Path(__file__).parents[2] / "ingestion" / "providers" / "recordings"
REAL = Path(os.environ.get("RECORDINGS", "recordings"))
needs_real = pytest.mark.skipif(not REAL.is_dir(), reason="set RECORDINGS to a folder of real recordings")
DATE = {"Date": "Tue, 25 Aug 2026 03:36:00 GMT"}
AT = 1_787_628_960_000_000
HTML = b"<!DOCTYPE html><html><title>502 Bad Gateway</title></html>"


@dataclass(frozen=True, slots=True)
class Made:
    """A trade that a made-up market has: microseconds, text of its numbers, taker's side; fills: ids it covers."""

    id: int
    ts: int
    price: str = "80000.52"
    amount: str = "0.00000842"
    side: int = 1
    fills: tuple[int, int] | None = None

    @property
    def first(self) -> int:
        return self.fills[0] if self.fills else self.id

    @property
    def last(self) -> int:
        return self.fills[1] if self.fills else self.id

    @property
    def mark(self) -> TradeMark:
        return TradeMark(self.id, self.ts, self.last)


@dataclass(frozen=True)
class Venue:
    """One venue: its provider, one of its pairs, and its spelling of things."""

    provider: Provider
    pair: Listed
    sub: str
    frame_of: Callable[[Made], dict[str, Any]]
    row_of: Callable[[Made], Any]
    page_of: Callable[[Sequence[Made], str], list[Made]]
    body_of: Callable[[list[Any], list[Made]], str]
    confirmed: Callable[[dict[str, Any]], list[str]]  # the answers to a subscription's frame
    ended: Callable[[dict[str, Any]], list[str]]
    refused: Callable[[dict[str, Any]], str]
    candles: str
    recording: str | None = None
    steps: int = 1  # microseconds between the times that it can tell apart
    aggregates: bool = False
    tells_newest: bool = True  # its newest page says what the newest trade is
    pairs: str = ""
    time: str = ""
    refusals: tuple[tuple[int, str], ...] = field(default=())  # status and body: no such market

    @property
    def name(self) -> str:
        return self.provider.traits.name

    def frames(self) -> list[bytes]:
        return (SAMPLES / self.recording).read_bytes().splitlines() if self.recording else []

    def answer(self, trades: Sequence[Made], path: str) -> Answer:
        """Return what the venue answers if these are all its trades, oldest first."""
        found = self.page_of(trades, path)
        return answer(self.body_of([self.row_of(trade) for trade in found], found))


def answer(body: str | bytes, status: int = 200, **headers: str) -> Answer:
    """Return an answer that is dated."""
    return Answer(status, DATE | headers, body.encode() if isinstance(body, str) else body)


def session(name: str, *channels: str) -> list[bytes]:
    """Return what some channels sent in a real session: its file says the address, then `time: received` a line."""
    _, *lines = (REAL / name).read_bytes().splitlines()
    received = [frame for when, _, frame in (line.partition(b": ") for line in lines) if b"<-" not in when]
    return [frame for frame in received if any(channel.encode() in frame for channel in channels)]


def query_of(path: str) -> dict[str, str]:
    """Return what a request asks."""
    return {name: value for name, (value,) in parse_qs(urlsplit(path).query).items()}


def _iso(micros: int) -> str:
    return moment(micros).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _pages_by_id_down(trades: Sequence[Made], path: str) -> list[Made]:
    asked = query_of(path)
    below = [trade for trade in trades if "after" not in asked or trade.id < int(asked["after"])]
    return below[::-1][: int(asked["limit"])]


def _pages_by_id_up(trades: Sequence[Made], path: str) -> list[Made]:
    asked = query_of(path)
    return [trade for trade in trades if trade.id >= int(asked["fromId"])][: int(asked["limit"])]


def _pages_by_time(trades: Sequence[Made], path: str) -> list[Made]:
    asked = query_of(path)
    return [trade for trade in trades if trade.ts * 1000 >= int(asked["since"])][: int(asked["count"])]


def _coinbase_row(trade: Made) -> dict[str, Any]:
    return {
        "trade_id": trade.id, "side": "sell" if trade.side == 1 else "buy", "size": trade.amount + "00",
        "price": trade.price + "0000", "time": _iso(trade.ts),
    }  # fmt: skip


def _coinbase_frame(trade: Made) -> dict[str, Any]:
    return {"type": "match", "sequence": 7 * trade.id, "product_id": "BTC-USD"} | _coinbase_row(trade)


def _binance_row(trade: Made) -> dict[str, Any]:
    return {
        "a": trade.id, "p": trade.price, "q": trade.amount, "f": trade.first, "l": trade.last,
        "T": trade.ts // 1000, "m": trade.side == -1, "M": True,
    }  # fmt: skip


def _binance_frame(trade: Made) -> dict[str, Any]:
    return {"e": "aggTrade", "E": trade.ts // 1000 + 1, "s": "BTCUSDT"} | _binance_row(trade)


def _kraken_row(trade: Made) -> list[Any]:
    seconds = json.dumps(float(Decimal(trade.ts) / 1_000_000 + Decimal("0.0000002")))
    return [trade.price, trade.amount, json.loads(seconds), "b" if trade.side == 1 else "s", "l", "", trade.id]


def _kraken_body(rows: list[Any], found: list[Made]) -> str:
    last = str(found[-1].ts * 1000) if found else "0"
    return json.dumps({"error": [], "result": {"XXBTZUSD": rows, "last": last}})


def _kraken_frame(trade: Made) -> dict[str, Any]:
    row = {
        "symbol": "BTC/USD", "side": "buy" if trade.side == 1 else "sell", "price": float(trade.price),
        "qty": float(trade.amount), "ord_type": "limit", "trade_id": trade.id, "timestamp": _iso(trade.ts),
    }  # fmt: skip
    return {"channel": "trade", "type": "update", "data": [row]}


def _okx_row(trade: Made) -> dict[str, Any]:
    return {
        "instId": "BTC-USDT", "tradeId": str(trade.id), "px": trade.price, "sz": trade.amount,
        "side": "buy" if trade.side == 1 else "sell", "ts": str(trade.ts // 1000), "source": "0",
    }  # fmt: skip


def _okx_frame(trade: Made) -> dict[str, Any]:
    return {"arg": {"channel": "trades-all", "instId": "BTC-USDT"}, "data": [_okx_row(trade)]}


def _okx_answers(frame: dict[str, Any]) -> list[str]:
    return [json.dumps({"event": frame["op"], "arg": arg, "connId": "a4d3ae55"}) for arg in frame["args"]]


def _coinbase_listing(frame: dict[str, Any], active: list[str]) -> list[str]:
    channels = [{"name": name, "product_ids": active} for name in frame["channels"]] if active else []
    return [json.dumps({"type": "subscriptions", "channels": channels})]


def _kraken_answers(frame: dict[str, Any]) -> list[str]:
    return [
        json.dumps({
            "method": frame["method"], "result": {"channel": "trade", "symbol": symbol}, "success": True,
            "time_in": "2026-08-25T03:35:00.000100Z", "time_out": "2026-08-25T03:35:00.000140Z",
        })
        for symbol in frame["params"]["symbol"]
    ]  # fmt: skip


COINBASE_VENUE = Venue(
    provider=COINBASE,
    pair=Listed("coinbase", "BTC", "USD"),
    sub="BTC-USD",
    frame_of=_coinbase_frame,
    row_of=_coinbase_row,
    page_of=_pages_by_id_down,
    body_of=lambda rows, _: json.dumps(rows),
    confirmed=lambda frame: _coinbase_listing(frame, frame["product_ids"]),
    ended=lambda frame: _coinbase_listing(frame, []),
    refused=lambda frame: json.dumps(
        {
            "type": "error",
            "message": "Failed to subscribe",
            "reason": f"{frame['product_ids'][0]} is not a valid product",
        }
    ),
    recording="coinbase-frames.txt",
    candles="[[1787626740,73241.5,73402.47,73243.33,73370.65,1.56794406],[1787626680,1e-08,2,1,2,0.1]]",
    pairs=(SAMPLES / "coinbase-products.json").read_text(),
    time='{"iso":"2020-05-12T08:00:51.504Z","epoch":1589270451.504}',
    refusals=((404, '{"message":"NotFound"}'), (400, '{"message":"granularity too small"}')),
)

BINANCE_VENUE = Venue(
    provider=BINANCE,
    pair=Listed("binance", "BTC", "USDT"),
    sub="BTCUSDT",
    frame_of=_binance_frame,
    row_of=_binance_row,
    page_of=_pages_by_id_up,
    body_of=lambda rows, _: json.dumps(rows),
    confirmed=lambda frame: [json.dumps({"result": None, "id": frame["id"]})],
    ended=lambda frame: [json.dumps({"result": None, "id": frame["id"]})],
    refused=lambda frame: json.dumps({"error": {"code": 2, "msg": "Invalid request: x"}, "id": frame["id"]}),
    candles='[[1787626680000,"1e-08","2","1e-08","2","0.1",1787626739999,"0.15",3,"0","0","0"],'
    '[1787626740000,"73243.33","73402.47","73241.5","73370.65","1.56794406",1787626799999,"115000.1",41,"0","0","0"]]',
    steps=1000,
    aggregates=True,
    pairs=(SAMPLES / "binance-exchange-info.json").read_text(),
    time='{"serverTime":1499827319559}',
    refusals=((400, '{"code":-1121,"msg":"Invalid symbol."}'),),
)

KRAKEN_VENUE = Venue(
    provider=KRAKEN,
    pair=Listed("kraken", "BTC", "USD"),
    sub="BTC/USD",
    frame_of=_kraken_frame,
    row_of=_kraken_row,
    page_of=_pages_by_time,
    body_of=_kraken_body,
    confirmed=_kraken_answers,
    ended=_kraken_answers,
    refused=lambda frame: json.dumps(
        {
            "error": f"Currency pair not supported {frame['params']['symbol'][0]}",
            "method": frame["method"],
            "success": False,
            "symbol": frame["params"]["symbol"][0],
        }
    ),
    recording="kraken-frames.txt",
    candles='{"error":[],"result":{"XXBTZUSD":[[1787626680,"1e-08","2","1e-08","2","1.5","0.1",3],'
    '[1787626740,"73243.33","73402.47","73241.5","73370.65","73300.1","1.56794406",41]],"last":1787626680}}',
    pairs=(SAMPLES / "kraken-asset-pairs.json").read_text(),
    time='{"error":[],"result":{"unixtime":1762820224,"rfc1123":"Tue, 11 Nov 25 00:17:04 +0000"}}',
    refusals=((200, '{"error":["EQuery:Unknown asset pair"]}'),),
)


OKX_VENUE = Venue(
    provider=OKX,
    pair=Listed("okx", "BTC", "USDT"),
    sub="BTC-USDT",
    frame_of=_okx_frame,
    row_of=_okx_row,
    page_of=_pages_by_id_down,
    body_of=lambda rows, _: json.dumps({"code": "0", "msg": "", "data": rows}),
    confirmed=_okx_answers,
    ended=_okx_answers,
    refused=lambda frame: json.dumps(
        {
            "event": "error",
            "code": "60018",
            "msg": f"Wrong URL or channel:trades-all,instId:{frame['args'][0]['instId']} doesn't exist. Please use the "
            "correct URL, channel and parameters referring to API document.",
            "connId": "a4d3ae55",
        }
    ),
    recording="okx-frames.txt",
    candles='{"code":"0","msg":"","data":['
    '["1787626740000","73243.33","73402.47","73241.5","73370.65","1.56794406","1.5","115000.1","1"],'
    '["1787626680000","1e-08","2","1e-08","2","0.1","0.1","0.15","1"]]}',
    steps=1000,
    tells_newest=False,
    pairs=(SAMPLES / "okx-instruments.json").read_text(),
    time='{"code":"0","data":[{"ts":"1597026383085"}],"msg":""}',
    refusals=((200, '{"code":"51001","msg":"Instrument ID does not exist","data":[]}'),),
)


def _us() -> Venue:
    made = {name: getattr(BINANCE_VENUE, name) for name in BINANCE_VENUE.__dataclass_fields__}
    return Venue(**made | {
        "provider": BINANCE_US, "pair": Listed("binanceus", "BTC", "USDT"), "recording": "binance-us-frames.txt",
    })  # fmt: skip


BINANCE_US_VENUE = _us()
VENUES = [COINBASE_VENUE, BINANCE_VENUE, BINANCE_US_VENUE, KRAKEN_VENUE, OKX_VENUE]
