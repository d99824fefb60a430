"""Follow a candle series: python docs/follow.py http://127.0.0.1:8000 coinbase:BTC-USD 1m

It needs only the standard library. It keeps the newest candles in memory, and after a lost connection it continues
where it stopped. Put an API key into the environment as KEY.
"""

import http.client
import json
import os
import signal
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

if len(sys.argv) != 4 or not sys.argv[1].startswith(("http://", "https://")):
    sys.exit(__doc__)
signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends it without a traceback
base, market, timeframe = sys.argv[1:]
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
    pause = wait
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
        pause = wait
    except urllib.error.HTTPError as error:
        if error.code < 500 and error.code not in (408, 429):  # the same question gets the same answer
            sys.exit(f"refused: {error}: {error.read().decode()}")
        pause = max(wait, float(error.headers.get("Retry-After", 0)))
        print(f"asks again in {pause:.0f} s: {error}", file=sys.stderr)
    except (OSError, http.client.HTTPException) as error:
        print(f"connection lost: {error}", file=sys.stderr)
    time.sleep(pause)
