"""The SQL expression that writes one stored row of a long stretch in a shape.

By concat() and concat_ws(), which look up once a statement how a type is written. format() does so for each cell, which
makes a row a third dearer; but it takes any shape as it is, so the rows of short answers are written by it
(sql/functions/stored_rows.sql).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from datastore.series.row_format import Shape

STORED_PRICES = ("c.open", "c.high", "c.low", "c.close")
SERVED_PRICES = (
    "served_open(c.open, c.high, c.low, c.close, false)",
    "served_high(c.high, c.close, false)",
    "served_low(c.low, c.close, false)",
    "c.close",
)
_TIME = "date_part('epoch', c.open_time)::bigint"
_BEHIND_PRICES = ("c.volume", "c.quote_volume", "c.trades", "c.source", "c.closed", "c.revision")
QUOTE_VOLUME, TRADES, SOURCE, CLOSED = 6, 7, 8, 9


def row_sql(shape: Shape, prices: Sequence[str], same: Mapping[int, str]) -> tuple[str, dict[str, str]]:
    """Return the expression and its parameters: the shape's texts.

    same: what the cells with these numbers, from 0, are in every row. Where TRADES is among them, the provider does not
    count them, and may not give a quote volume either.
    """
    first, *behind = shape.row.split("%s")
    texts, cells = [first], list[str]()  # texts[n] is before cells[n], the last text behind all
    for number, (cell, text) in enumerate(zip((_TIME, *prices, *_BEHIND_PRICES), behind, strict=False)):
        if number in same:
            texts[-1] += same[number] + text
        else:
            cells.append(cell)
            texts.append(text)

    if TRADES in same and shape.absent and len(cells) > QUOTE_VOLUME:
        # What is absent is no decimal, so it has no quotation marks.
        mark = '"' if texts[QUOTE_VOLUME].endswith('"') else ""
        texts[QUOTE_VOLUME] = texts[QUOTE_VOLUME].removesuffix(mark)
        texts[QUOTE_VOLUME + 1] = texts[QUOTE_VOLUME + 1].removeprefix(mark)
        cells[QUOTE_VOLUME] = f"coalesce('{mark}' || c.quote_volume || '{mark}', %(absent)s::text)"

    values = {"absent": shape.absent, "inside": texts[2]}
    if len(set(texts[2:6])) == 1:  # between open, high, low, close and volume, none of which is ever absent
        cells[1:6] = [f"concat_ws(%(inside)s::text, {', '.join(cells[1:6])})"]
        del texts[2:6]
    arguments = []
    for number, text in enumerate(texts):
        if text:
            arguments.append(f"%(text{number})s::text")
            values[f"text{number}"] = text
        arguments += cells[number : number + 1]
    return f"concat({', '.join(arguments)})", values
