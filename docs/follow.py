"""Follow a candle series: python docs/follow.py http://127.0.0.1:8000 coinbase:BTC-USD 1m

It needs only the standard library. It keeps the newest candles in memory, and after a lost connection it continues
where it stopped. Put an API key into the environment as KEY.
"""

import json
import os
import sys
import time
import urllib.parse
import urllib.request
from typing import Any

base, market, timeframe = sys.argv[1:4]
query = urllib.parse.urlencode({"market": market, "timeframe": timeframe})
headers = {"X-API-Key": os.environ["KEY"]} if "KEY" in os.environ else {}
candles: dict[int, list[Any]] = {}  # rows by open time: time, open, high, low, close, volume, quote_volume, trades, …
wait = 1.0


def take(event: str, data: Any) -> None:
    if event == "snapshot":  # replaces everything; `reason` says why, if a cursor was sent
        candles.clear()
        candles.update({row[0]: row for row in data["candles"]})
    elif event == "candle" and data[7] == 0:  # its last trade was withdrawn
        candles.pop(data[0], None)
    elif event == "candle":
        candles[data[0]] = data
        print(data, flush=True)
    else:  # watermark: everything before it was sent; gap: a changed span of the certificate
        print(event, data, flush=True)


while True:
    try:
        request = urllib.request.Request(f"{base}/api/v1/candles/stream?{query}", headers=headers)
        with urllib.request.urlopen(request, timeout=45) as stream:  # a heartbeat comes every 15 s
            fields: dict[str, str] = {}
            for line in map(bytes.decode, stream):
                name, _, value = line.rstrip("\n").partition(":")
                if line != "\n":
                    fields[name] = value.removeprefix(" ")
                    continue
                if "event" in fields:
                    take(fields["event"], json.loads(fields["data"]))
                wait = int(fields.get("retry", wait * 1000)) / 1000
                headers["Last-Event-ID"] = fields.get("id", headers.get("Last-Event-ID", ""))
                fields = {}
    except OSError as error:
        print(f"connection lost: {error}", file=sys.stderr)
    time.sleep(wait)
