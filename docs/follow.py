"""Follow a candle series: python docs/follow.py http://127.0.0.1:8000 coinbase:BTC-USD 1m

The standard library is all it needs. It keeps a book of the newest candles, and after any lost connection it goes on
where it was. An API key stands in the environment as KEY.
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
book: dict[int, list[Any]] = {}  # rows by open time: time, open, high, low, close, volume, quote_volume, trades, …
wait = 1.0


def take(event: str, data: Any) -> None:
    if event == "snapshot":  # all anew; `reason` says why, where there was a cursor
        book.clear()
        book.update({row[0]: row for row in data["candles"]})
    elif event == "candle" and data[7] == 0:  # its last trade was taken back
        book.pop(data[0], None)
    elif event == "candle":
        book[data[0]] = data
        print(data, flush=True)
    else:  # watermark: all before it is told; gap: a stretch of the certificate that changed
        print(event, data, flush=True)


while True:
    try:
        request = urllib.request.Request(f"{base}/api/v1/candles/stream?{query}", headers=headers)
        with urllib.request.urlopen(request, timeout=45) as stream:  # a sign of life comes every 15 s
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
