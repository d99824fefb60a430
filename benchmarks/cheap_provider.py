"""CryptoCompare's streamer for one reader, at little cost: `python -m benchmarks.cheap_provider RATE MARKET…`.

It prints its port. Each trade is a frame of its own, sent at its time. A line of its input ends it; then it prints when
(ns) it sent each trade of the first market, by the trade's id, as JSON.
"""

from __future__ import annotations

import base64
import hashlib
import json
import socket
import sys
import threading
import time

HANDSHAKE_ID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # of RFC 6455
STEP_S, HEARTBEAT_EVERY_NS = 0.001, 1_000_000_000
SECOND_NS = 1_000_000_000


def frame(text: str) -> bytes:
    """Return a text as one frame of a server."""
    data = text.encode()
    if len(data) < 126:
        return bytes((0x81, len(data))) + data
    return bytes((0x81, 126)) + len(data).to_bytes(2, "big") + data


def welcome(reader: socket.socket, markets: list[str]) -> None:
    """Answer the handshake, and say that every market is subscribed, whatever the reader asks for."""
    asked = b""
    while b"\r\n\r\n" not in asked:
        asked += reader.recv(4096)
    fields = dict(line.split(": ", 1) for line in asked.decode().split("\r\n")[1:] if ": " in line)
    key = {name.lower(): value for name, value in fields.items()}["sec-websocket-key"]
    accept = base64.b64encode(hashlib.sha1(f"{key}{HANDSHAKE_ID}".encode()).digest()).decode()  # noqa: S324
    head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    reader.sendall(f"{head}Sec-WebSocket-Accept: {accept}\r\n\r\n".encode())
    now = time.time_ns() // 1_000_000
    reader.sendall(frame(f'{{"TYPE":"20","MESSAGE":"STREAMERWELCOME","SERVER_TIME_MS":{now}}}'))
    reader.recv(65536)  # the subscription
    for market in markets:
        venue, _, pair = market.partition(":")
        base, quote = pair.split("-")
        sub = f"0~{venue}~{base}~{quote}"
        reader.sendall(frame(f'{{"TYPE":"16","MESSAGE":"SUBSCRIBECOMPLETE","SUB":"{sub}"}}'))


def trades(reader: socket.socket, markets: list[str], rate: int, end: threading.Event) -> dict[str, int]:
    """Send `rate` trades a second of all markets in turn; return when each of the first market was sent."""
    parts = [market.replace("-", ":").split(":") for market in markets]
    heads = [f'{{"TYPE":"0","M":"{venue}","FSYM":"{base}","TSYM":"{quote}","F":"1"' for venue, base, quote in parts]
    sent: dict[str, int] = {}
    began = heartbeat = time.time_ns()
    number = 0
    while not end.is_set():
        due = (time.time_ns() - began) * rate // SECOND_NS
        for each in range(number, due):
            now = time.time_ns()
            place, count = each % len(markets), each // len(markets) + 1
            seconds, nanos = divmod(now, SECOND_NS)
            price, amount = f"{1000 + each % 97}.{each % 89:02}", f"0.{each % 9973 + 1:06}"
            times = f'"TS":{seconds},"TSNS":{nanos},"RTS":{seconds},"RTSNS":{nanos}'
            text = f'{heads[place]},"ID":"{count}","P":{price},"Q":{amount},{times},"CCSEQ":{count}}}'
            reader.sendall(frame(text))
            if place == 0:
                sent[str(count)] = now
        number = due
        if time.time_ns() - heartbeat > HEARTBEAT_EVERY_NS:
            heartbeat = time.time_ns()
            reader.sendall(frame(f'{{"TYPE":"999","MESSAGE":"HEARTBEAT","TIMEMS":{heartbeat // 1_000_000}}}'))
        time.sleep(STEP_S)
    return sent


def end_when_told(end: threading.Event) -> None:
    """Wait for a line of input."""
    sys.stdin.readline()
    end.set()


def main(rate: int, markets: list[str]) -> None:
    """Serve one reader until it is asked to end."""
    end = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:
        print(server.getsockname()[1], flush=True)
        reader, _ = server.accept()
        threading.Thread(target=end_when_told, args=[end], daemon=True).start()
        reader.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        welcome(reader, markets)
        print(json.dumps(trades(reader, markets, rate, end)))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
