"""Plots as SVG text, to lie within a page: nothing is loaded, and colours follow the page's."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

_WIDTH, _HEIGHT = 760, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 16, 16, 44
_COLOURS = ("#2f6fde", "#d9622b", "#2a9d62", "#a04bc4", "#b8941f", "#cf3f6b", "#3f9fb5", "#777777")

Points = Sequence[tuple[float, float]]


class Axis:
    """Puts values between two ends, evenly or by their logarithm."""

    def __init__(
        self, values: Sequence[float], start: float, end: float, *, log: bool, from_zero: bool = False
    ) -> None:
        self.log = log
        low, high = min(values), max(values)
        if log:
            low, high = 10 ** math.floor(math.log10(low)), 10 ** math.ceil(math.log10(high))
        elif from_zero:
            low = 0.0
        if high <= low:
            high = low * 10 if log else low + 1.0
        self.low, self.high = low, high
        self._start, self._end = start, end

    def place(self, value: float) -> float:
        if self.log:
            value, low, high = math.log10(max(value, self.low)), math.log10(self.low), math.log10(self.high)
        else:
            low, high = self.low, self.high
        return self._start + (value - low) / (high - low) * (self._end - self._start)

    def ticks(self) -> list[float]:
        if self.log:
            first, last = round(math.log10(self.low)), round(math.log10(self.high))
            return [10.0**power for power in range(first, last + 1)]
        rough = (self.high - self.low) / 5
        power = 10 ** math.floor(math.log10(rough))
        step = next(power * one for one in (1, 2, 5, 10) if power * one >= rough)
        first = math.ceil(self.low / step)
        return [one * step for one in range(first, math.floor(self.high / step + 1e-9) + 1)]


def distribution(series: Mapping[str, Sequence[float]], unit: str) -> str:
    """The share of runs that took at most so long, on a logarithmic axis."""
    curves = {}
    for name, values in series.items():
        ordered = sorted(values)
        steps: list[tuple[float, float]] = []
        for number, value in enumerate(ordered):
            steps += [(value, number / len(ordered)), (value, (number + 1) / len(ordered))]
        curves[name] = steps
    return lines(curves, unit, "share of runs", log_x=True)


def lines(
    series: Mapping[str, Points],
    x_name: str,
    y_name: str,
    *,
    log_x: bool = False,
    log_y: bool = False,
    dots: bool = False,
) -> str:
    """Curves, or with `dots` single points."""
    xs = [x for points in series.values() for x, _ in points]
    ys = [y for points in series.values() for _, y in points]
    across = Axis(xs, _LEFT, _WIDTH - _RIGHT, log=log_x)
    upward = Axis(ys, _HEIGHT - _BOTTOM, _TOP, log=log_y, from_zero=not log_y)
    drawn = _axes(across, upward, x_name, y_name)
    for (_, points), colour in zip(series.items(), _COLOURS * len(series), strict=False):
        placed = [(across.place(x), upward.place(y)) for x, y in points]
        if dots:
            drawn += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2" fill="{colour}" fill-opacity=".6"/>' for x, y in placed]
        else:
            path = " ".join(f"{x:.1f},{y:.1f}" for x, y in placed)
            drawn.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.6"/>')
    return _legend(list(series)) + _svg(drawn, _HEIGHT)


def bars(values: Mapping[str, float], unit: str) -> str:
    """Lengths on a logarithmic axis, each with its number."""
    height = 26 * len(values) + _BOTTOM
    left = 230
    across = Axis([*values.values(), min(values.values()) / 2], left, _WIDTH - 90, log=True)
    drawn = []
    for tick in across.ticks():
        x = across.place(tick)
        drawn.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="4" y2="{height - _BOTTOM}" class="grid"/>')
        drawn.append(_text(x, height - _BOTTOM + 18, _number(tick), "middle"))
    for row, (name, value) in enumerate(values.items()):
        y = 6 + 26 * row
        colour = _COLOURS[0] if row == 0 else _COLOURS[7]
        width = max(1.0, across.place(value) - left)
        drawn.append(f'<rect x="{left}" y="{y}" width="{width:.1f}" height="18" fill="{colour}"/>')
        drawn.append(_text(left - 8, y + 14, name, "end"))
        drawn.append(_text(left + width + 6, y + 14, f"{value:.3g} {unit}", "start"))
    return _svg(drawn, height)


def stack(parts: Mapping[str, float], unit: str) -> str:
    """One bar, cut in proportion."""
    whole = sum(parts.values()) or 1.0
    drawn, at = [], 10.0
    for (_, value), colour in zip(parts.items(), _COLOURS * len(parts), strict=False):
        width = value / whole * (_WIDTH - 20)
        drawn.append(f'<rect x="{at:.1f}" y="6" width="{max(width, 0.5):.1f}" height="30" fill="{colour}"/>')
        at += width
    named = [f"{name} {value:.3f} {unit}" for name, value in parts.items()]
    return _legend(named) + _svg(drawn, 42)


NAMED_STACK_HEIGHT = 96


def named_stack(title: str, parts: Mapping[str, float], top: float) -> str:
    """The same with its names below, from `top` on, for a picture that stands alone."""
    whole = sum(parts.values()) or 1.0
    drawn, at, x, y = [_text(10, top + 16, title, "start")], 10.0, 10.0, top + 70
    for (name, value), colour in zip(parts.items(), _COLOURS * len(parts), strict=False):
        width = value / whole * (_WIDTH - 20)
        drawn.append(f'<rect x="{at:.1f}" y="{top + 24}" width="{max(width, 0.5):.1f}" height="28" fill="{colour}"/>')
        at += width
        drawn.append(f'<rect x="{x:.1f}" y="{y - 9}" width="9" height="9" fill="{colour}"/>')
        label = f"{name} {value:.2f}"
        drawn.append(_text(x + 13, y, label, "start"))
        x += 26 + 6.4 * len(label)
    return "".join(drawn)


def _axes(across: Axis, upward: Axis, x_name: str, y_name: str) -> list[str]:
    drawn = []
    for tick in across.ticks():
        x = across.place(tick)
        drawn.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{_HEIGHT - _BOTTOM}" class="grid"/>')
        drawn.append(_text(x, _HEIGHT - _BOTTOM + 16, _number(tick), "middle"))
    for tick in upward.ticks():
        y = upward.place(tick)
        drawn.append(f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" class="grid"/>')
        drawn.append(_text(_LEFT - 6, y + 4, _number(tick), "end"))
    drawn.append(_text((_LEFT + _WIDTH) / 2, _HEIGHT - 8, x_name, "middle"))
    middle = (_TOP + _HEIGHT - _BOTTOM) / 2
    drawn.append(
        f'<text transform="translate(14 {middle:.0f}) rotate(-90)" text-anchor="middle">{escape(y_name)}</text>'
    )
    return drawn


def _legend(names: Sequence[str]) -> str:
    entries = zip(names, _COLOURS * len(names), strict=False)
    marks = "".join(f'<span><i style="background:{colour}"></i>{escape(name)}</span>' for name, colour in entries)
    return f'<p class="legend">{marks}</p>'


def _svg(drawn: Sequence[str], height: float) -> str:
    return f'<svg viewBox="0 0 {_WIDTH} {height:g}" role="img">{"".join(drawn)}</svg>'


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _number(value: float) -> str:
    return f"{value:,.10g}"
