"""A chart on a page of another origin: bars by TradingView's data feed, the newest one by Binance's stream."""

from __future__ import annotations

import os
from typing import Any

import pytest
from playwright.sync_api import Browser

from tests.support.browser import window
from tests.support.datastore.provider_time import ProviderTime
from tests.support.polling import until
from tests.support.sse.scenario import MarketScenario, shown
from tests.support.sse.server import streaming

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
SOON = 60  # seconds
# Asks in the order of the library's own client: config, symbols, history with countback; then follows the newest bar.
CHART = """
async ([feed, streams, ticker, pair]) => {
  const ask = async (path, query) => (await fetch(`${feed}/${path}?${new URLSearchParams(query)}`)).json();
  const config = await (await fetch(`${feed}/config`)).json();
  const symbol = await ask("symbols", {symbol: ticker});
  const now = Number(await (await fetch(`${feed}/time`)).text());
  const resolution = config.supported_resolutions[0];
  const bars = await ask("history", {symbol: symbol.ticker, resolution, from: now - 600, to: now + 1, countback: 300});
  document.body.innerHTML = "<div id=chart style='width:700px;height:320px'></div>";
  const chart = LightweightCharts.createChart(document.getElementById("chart"), {timeScale: {timeVisible: true}});
  const step = symbol.minmov / symbol.pricescale;
  window.series = chart.addSeries(LightweightCharts.CandlestickSeries, {priceFormat: {type: "price", minMove: step}});
  const [t, o, h, l, c] = [bars.t, bars.o, bars.h, bars.l, bars.c];
  series.setData(t.map((time, i) => ({time, open: o[i], high: h[i], low: l[i], close: c[i]})));
  chart.timeScale().fitContent();
  window.socket = new WebSocket(`${streams}/${pair}@kline_1m`);
  socket.onmessage = ({data}) => {
    const k = JSON.parse(data).k;
    series.update({time: k.t / 1000, open: Number(k.o), high: Number(k.h), low: Number(k.l), close: Number(k.c)});
  };
}
"""


def test_a_chart_of_lightweight_charts_shows_the_feed_and_moves_with_the_stream(
    live_server: Any, chrome: Browser, settings: Any, provider_time: ProviderTime
) -> None:
    scenario = MarketScenario(provider_time)
    scenario.wakes = True
    for ago, price in enumerate((7, 6, 8, 9, 7, 8, 10, 9)):
        scenario.trade(ago * 60 + 1, price)
    page_at = live_server.url.replace("localhost", "127.0.0.1")
    settings.CORS_ALLOWED_ORIGINS, settings.ALLOWED_HOSTS = [page_at], ["*"]
    pair = f"{scenario.market.base}{scenario.market.quote}".lower()
    with window(chrome) as page, streaming(settings):

        def bars() -> list[list[float]]:
            page.wait_for_timeout(100)  # lets playwright's own loop handle what the page did
            bars: list[list[float]] = page.evaluate(
                "series.data().map(bar => [bar.time, bar.open, bar.high, bar.low, bar.close])"
            )
            return bars

        def expected() -> list[list[float]]:
            rows = shown(scenario.market, "1m")["candles"]
            return [[row[0] // 1000, *map(float, row[1:5])] for row in rows]

        page.goto(f"{page_at}/health/live")
        page.add_script_tag(url=f"{page_at}/static/vendor/lightweight-charts.js")
        streams = f"ws://localhost:{settings.SSE_PORT}/binance/ws"
        page.evaluate(CHART, [f"{live_server.url}/udf", streams, scenario.market.symbol, pair])
        assert bars() == expected() and len(bars()) >= 8
        scenario.trade(0, 12)
        until("the newest bar moves", lambda: bars()[-1][4] == 12, SOON)
        assert bars() == expected()
        if folder := os.environ.get("SCREENSHOTS"):
            page.screenshot(path=f"{folder}/udf-chart.png")
        page.evaluate("socket.close()")
