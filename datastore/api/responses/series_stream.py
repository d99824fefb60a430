"""One candle series of any length in one of the written formats, its certificate in headers and metadata."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode

import msgspec
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from datastore.api.errors import BadParameters, CannotWrite
from datastore.api.params.times import to_ms
from datastore.api.responses.json_response import pack
from datastore.api.responses.series_body import completeness_json, head_json, segment_json
from datastore.api.responses.streamed import MAX_IDLE_S, streamed
from datastore.series.export import Export, Question
from datastore.series.reader import Series
from datastore.series.written_format import FORMATS, ExtraMissing, Format, NumberTooLong, Writer, Written

GATHERED_BYTES = 256 * 1024  # what a columnar writer takes at once: more, and the database waits for it


def series_stream(
    request: HttpRequest, question: Question, form: Format, as_numbers: bool, seen: Series, headers: dict[str, str]
) -> HttpResponseBase:
    """Return the answer; seen: the certificate as it was before, which HEAD shows. Raises BadParameters, Busy."""
    export = Export(question, MAX_IDLE_S)
    headers = {**certificate_headers(seen), **headers, "Content-Disposition": disposition(question, form)}
    response = streamed(request, lambda: written_parts(export, form, as_numbers), form.media_type, headers)
    if request.method != "HEAD":
        for name, value in certificate_headers(export.certificate).items():
            response.headers[name] = value
    return response


def written_parts(export: Export, form: Format, as_numbers: bool) -> Iterator[list[bytes]]:
    """Yield the bytes of a format, those of each part of the export together. Raises BadParameters, CannotWrite.

    The export must have been asked for in the shape that the format is made of.
    """
    writer: Writer | None = None
    with writing(form):
        for part in export.parts():
            made = []
            if writer is None:
                certificate = msgspec.json.encode(certificate_json(export.certificate))
                digits = None if form.in_blocks or as_numbers else export.digits()
                writer = form.writer(Written(export.frame, certificate, digits))
                made.append(writer.head())
            made += [writer.rows(block) for block in (part.blocks if form.in_blocks else gathered(part.blocks))]
            yield made
    if writer is not None:
        yield [writer.tail()]


@contextmanager
def writing(form: Format) -> Iterator[None]:
    """Raise what a writer cannot do as BadParameters or CannotWrite."""
    try:
        yield
    except ExtraMissing as exc:
        others = [one.name for one in FORMATS.values() if one.in_blocks]
        raise BadParameters({"format": [f"'{form.name}' {exc}. Accepted without it: {', '.join(others)}."]}) from None
    except NumberTooLong as exc:
        raise CannotWrite(str(exc)) from None


def gathered(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the same lines in fewer, larger blocks."""
    some: list[bytes] = []
    for block in blocks:
        some.append(block)
        if sum(map(len, some)) >= GATHERED_BYTES:
            yield b"".join(some)
            some.clear()
    if some:
        yield b"".join(some)


def certificate_json(series: Series) -> dict[str, Any]:
    """Return the certificate of a series without rows, as formats hold it in their metadata."""
    segments = [segment_json(segment) for segment in series.segments]
    for segment in segments:
        del segment["quiet"]  # not known before the rows are
    return {
        **head_json(series),
        "from": to_ms(series.start),
        "to": to_ms(series.stop),
        "coverage": segments,
        "completeness": completeness_json(series.completeness),
    }


def certificate_headers(series: Series) -> dict[str, str]:
    """Return the certificate in short: -Gaps is the number of stretches that are gap or partial, Link has them all."""
    watermark = to_ms(series.watermark)
    span = {"from": to_ms(series.start), "to": to_ms(series.stop)}
    coverage = urlencode({"market": series.market, "timeframe": series.timeframe, **span}, safe=":")
    return {
        "Candlekeep-Complete": "true" if series.complete else "false",
        **({} if watermark is None else {"Candlekeep-Watermark": str(watermark)}),
        "Candlekeep-Cursor": pack(series.series_id, series.version, watermark),
        "Candlekeep-Gaps": str(sum(segment.incomplete for segment in series.segments)),
        "Link": f'</api/v1/coverage?{coverage}>; rel="describedby"',
    }


def disposition(question: Question, form: Format) -> str:
    """Return a name for the file: of Feather the one by which freqtrade finds it."""
    market = question.market
    if form.name == "feather":
        return f'attachment; filename="{market.base}_{market.quote}-{question.timeframe}.{form.suffix}"'
    kind = "inline" if form.suffix == "json" else "attachment"
    return f'{kind}; filename="{market.symbol.replace(":", "_")}-{question.timeframe}.{form.suffix}"'
