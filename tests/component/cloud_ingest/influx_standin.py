"""A stand-in for InfluxDB 2's ``/api/v2/write`` and ``/api/v2/query``: no real server can be had here.

It is written from the published line protocol and the annotated CSV dialect, not from our adapter: it
parses the lines itself, keeps one value for each (labels, time, field), overwriting as the real one does, and
refuses what the real one refuses (a wrong token, a missing bucket, a field whose type has changed). Of Flux
it understands only the shape of query that the adapter makes; any other is refused.
"""

from __future__ import annotations

import gzip
import json
import re
import threading
from collections import deque
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

__all__ = ["InfluxStandIn", "parse_line"]

TOKEN = "let-me-in"  # noqa: S105
ORG = "ward"
BUCKET = "hearthward"
LATEST = 2**63 - 2
Value = float | int | str | bool

_QUERY = re.compile(
    r'^from\(bucket: "(?P<bucket>[^"]*)"\)'
    r" \|> range\(start: (?P<start>-1m|time\(v: \d+\))(, stop: (?P<stop>time\(v: \d+\)))?\)"
    r"( \|> filter\(fn: \(r\) => (?P<filter>.*?)\))?"
    r"( \|> drop\(columns: \[(?P<drop>[^\]]*)\]\))?"
    r"(?P<last> \|> last\(\))?( \|> limit\(n: \d+\))?$"
)
_SUMS = re.compile(r"^data = (?P<source>from.*\)) \|> window\(every: (?P<every>\d+)ns\)$")
_YIELD = re.compile(
    r'^data \|> (?P<what>min|max|sum|count|last)\(\) \|> set\(key: "what", value: "(?P=what)"\)'
    r' \|> keep\(columns: \["_start", "_time", "_value", "quality", "what"\]\)'
    r' \|> yield\(name: "(?P=what)"\)$'
)
_EQUALS = re.compile(r'r\.(\w+) == "((?:[^"\\]|\\.)*)"')


def parse_line(line: str) -> tuple[str, tuple[tuple[str, str], ...], dict[str, Value], int]:
    """One line of line protocol: measurement, sorted tags, fields, time."""
    head, fields, time = _split(line, " ")
    measurement, *tags = _split(head, ",")
    pairs = tuple(sorted((_plain(k), _plain(v)) for k, v in (_split(tag, "=") for tag in tags)))
    assert all(k and v for k, v in pairs), "an empty tag"
    found: dict[str, Value] = {}
    for field in _split(fields, ","):
        name, text = _split(field, "=")
        if text.endswith("i"):
            found[name] = int(text[:-1])
            assert -(2**63) <= found[name] < 2**63
        elif text[0] == '"':
            found[name] = text[1:-1]
        else:
            found[name] = float(text)
    return _plain(measurement), pairs, found, int(time)


def _split(text: str, at: str) -> list[str]:
    """Split where the separator is not escaped by a backslash."""
    return re.split(rf"(?<!\\){re.escape(at)}", text)


def _plain(text: str) -> str:
    return re.sub(r"\\([ ,=])", r"\1", text)


class InfluxStandIn:
    """``with``: serves until left. ``behaviour``: statuses to answer next instead (0: hang up)."""

    def __init__(self) -> None:
        self.points: dict[tuple[str, tuple[tuple[str, str], ...], str], dict[int, Value]] = {}
        self.behaviour: deque[int] = deque()
        self.written: list[str] = []
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def write(self, body: str, bucket: str) -> tuple[int, dict[str, str]]:
        if bucket != BUCKET:
            return 404, {"code": "not found", "message": f'bucket "{bucket}" not found'}
        for line in body.splitlines():
            measurement, tags, fields, time = parse_line(line)
            for name, value in fields.items():
                times = self.points.setdefault((measurement, tags, name), {})
                if times and type(next(iter(times.values()))) is not type(value):
                    return 422, {"code": "unprocessable entity", "message": "field type conflict"}
                times[time] = value
            self.written.append(line)
        return 204, {}

    def query(self, flux: str) -> tuple[int, str]:
        first, *rest = flux.split("\n")
        sums = _SUMS.match(first)
        if sums is not None:
            return self._sums(sums, [_YIELD.match(line) for line in rest])
        asked = _QUERY.match(flux)
        if asked is None:
            return 400, json.dumps({"code": "invalid", "message": f"not understood here: {flux}"})
        if asked["bucket"] != BUCKET:
            return 404, json.dumps({"code": "not found", "message": "could not find bucket"})
        if asked["filter"] is None:
            return 200, "\r\n"
        start, stop = (int(re.sub(r"\D", "", asked[name])) for name in ("start", "stop"))
        assert start < stop <= LATEST
        wanted: dict[str, set[str]] = {}
        for name, text in _EQUALS.findall(asked["filter"]):
            wanted.setdefault(name, set()).add(re.sub(r"\\(.)", r"\1", text))
        dropped = set(re.findall(r'"(\w+)"', asked["drop"] or ""))
        return 200, self._csv(wanted, (start, stop), dropped, newest=bool(asked["last"]))

    def _sums(self, sums: re.Match[str], yields: list[re.Match[str] | None]) -> tuple[int, str]:
        """Each window of each series by itself; what ``sum`` and ``count`` give has no time."""
        asked = _QUERY.match(sums["source"])
        if asked is None or not yields or not all(yields):
            return 400, json.dumps({"code": "invalid", "message": "not understood here"})
        start, stop = (int(re.sub(r"\D", "", asked[name])) for name in ("start", "stop"))
        wanted: dict[str, set[str]] = {}
        for name, text in _EQUALS.findall(asked["filter"]):
            wanted.setdefault(name, set()).add(re.sub(r"\\(.)", r"\1", text))
        every, out = int(sums["every"]), list[str]()
        for found in yields:
            what = found["what"] if found else ""
            timed = what in {"min", "max", "last"}
            columns = ["_start", *(["_time"] if timed else []), "_value", "quality", "what"]
            out.append(",".join(["", "result", "table", *columns]))
            for (measurement, tags, name), times in sorted(self.points.items(), key=lambda item: item[0]):
                row = {"_measurement": measurement, "_field": name, **dict(tags)}
                if any(row.get(k) not in values for k, values in wanted.items()):
                    continue
                windows: dict[int, list[tuple[int, float]]] = {}
                for at in sorted(t for t in times if start <= t < stop):
                    windows.setdefault(max(start, at // every * every), []).append((at, float(times[at])))
                for begin, points in windows.items():
                    at, value = _aggregate(what, points)
                    cells = [_stamp(begin), *([_stamp(at)] if timed else []), str(value)]
                    out.append(",".join(["", what, "0", *cells, row.get("quality", ""), what]))
            out.append("")
        return 200, "\r\n".join(out) + "\r\n"

    def _csv(
        self, wanted: dict[str, set[str]], period: tuple[int, int], dropped: set[str], *, newest: bool
    ) -> str:
        out: list[str] = []
        before: list[str] = []
        table = 0
        for (measurement, tags, name), times in sorted(self.points.items(), key=lambda item: item[0]):
            row = {"_measurement": measurement, "_field": name, **dict(tags)}
            inside = sorted(t for t in times if period[0] <= t < period[1])
            if not inside or any(row.get(k) not in values for k, values in wanted.items()):
                continue
            columns = ["_start", "_stop", "_time", "_value", "_field", "_measurement", *dict(tags)]
            columns = [c for c in columns if c not in dropped]
            if columns != before:
                out += [*([""] if before else []), ",".join(["", "result", "table", *columns])]
                before = columns
            for time in inside[-1:] if newest else inside:
                cells = {**row, "_time": _stamp(time), "_value": str(times[time])}
                out.append(
                    ",".join(["", "_result", str(table), *(_quoted(cells.get(c, "")) for c in columns)])
                )
            table += 1
        return "\r\n".join([*out, ""]) + "\r\n"

    def _handler(self) -> type[BaseHTTPRequestHandler]:  # noqa: C901 - one page
        standin = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                with standin._lock:
                    if standin.behaviour:
                        status = standin.behaviour.popleft()
                        if status == 0:
                            self.close_connection = True
                            return
                        self._answer(status, json.dumps({"code": "told", "message": "told to"}))
                        return
                    if self.headers.get("Authorization") != f"Token {TOKEN}":
                        self._answer(401, json.dumps({"code": "unauthorized", "message": "unauthorized"}))
                        return
                    self._serve(body.decode())

            def _serve(self, body: str) -> None:
                parts = urlsplit(self.path)
                asked = {k: v[0] for k, v in parse_qs(parts.query).items()}
                assert asked["org"] == ORG
                if parts.path == "/api/v2/write":
                    assert asked["precision"] == "ns"
                    status, found = standin.write(body, asked["bucket"])
                    self._answer(status, json.dumps(found) if found else "")
                elif parts.path == "/api/v2/query":
                    query = json.loads(body)
                    assert query["dialect"]["dateTimeFormat"] == "RFC3339Nano"
                    status, text = standin.query(query["query"])
                    self._answer(status, text)
                else:
                    self._answer(404, "{}")

            def _answer(self, status: int, text: str) -> None:
                body = text.encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json" if status >= 400 else "text/csv")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: Any) -> None:
                del args

        return Handler


def _aggregate(what: str, points: list[tuple[int, float]]) -> tuple[int, float]:
    values = [v for _, v in points]
    if what == "last":
        return points[-1]
    if what in {"min", "max"}:
        return (min if what == "min" else max)(points, key=lambda p: p[1])
    return 0, sum(values) if what == "sum" else len(values)


def _stamp(ns: int) -> str:
    whole, fraction = divmod(ns, 10**9)
    text = datetime.fromtimestamp(whole, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return text + (f".{fraction:09d}".rstrip("0") if fraction else "") + "Z"


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if set(text) & set(',"\r\n') else text
