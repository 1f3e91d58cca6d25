"""Plots as SVG text: bars and lines, for pages that must stand alone. Pure; no scripts, no styles from elsewhere.

Every mark carries its value as a title, so that it can be read by pointing and by a screen reader. Colours are those
of the page (`currentColor` and the custom properties --mark and --faint).
"""

from collections.abc import Sequence
from html import escape

WIDTH, HEIGHT = 640, 180
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 8, 10, 26

Point = tuple[str, float | None]  # its label, and a value or a gap
Interval = tuple[str, float | None, float, float | None]  # its label, lower end, value, upper end; None: without end


def bars(points: Sequence[Point], label: str, unit: str = "") -> str:
    """One bar for each point, in order."""
    top = _round_up(max((value for _, value in points if value is not None), default=1.0))
    step = (WIDTH - _LEFT - _RIGHT) / max(len(points), 1)
    marks = []
    for number, (name, value) in enumerate(points):
        if value:
            y = _y(value, top)
            x = _LEFT + number * step
            height = HEIGHT - _BOTTOM - y
            marks.append(
                f'<rect x="{x + step * 0.1:.1f}" y="{y:.1f}" width="{step * 0.8:.1f}" height="{height:.1f}" '
                f'fill="var(--mark)"><title>{_title(name, value, unit)}</title></rect>'
            )
    return _frame(marks, label, top, unit, points)


def line(points: Sequence[Point], label: str, unit: str = "", top: float | None = None) -> str:
    """A line through the points; gaps stay gaps, lone points are dots."""
    top = top or _round_up(max((value for _, value in points if value is not None), default=1.0))
    step = (WIDTH - _LEFT - _RIGHT) / max(len(points), 1)
    marks, run = [], list[str]()
    for number, (name, value) in enumerate(points):
        if value is None:
            marks.append(_polyline(run))
            run = []
            continue
        x, y = _LEFT + (number + 0.5) * step, _y(value, top)
        run.append(f"{x:.1f},{y:.1f}")
        title = _title(name, value, unit)
        marks.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill="var(--mark)"><title>{title}</title></circle>')
    return _frame([*marks, _polyline(run)], label, top, unit, points)


def intervals(points: Sequence[Interval], label: str, unit: str = "") -> str:
    """A dot with its interval for each point, around a line at zero."""
    ends = [abs(end) for _, lower, value, upper in points for end in (lower, value, upper) if end is not None]
    top = _round_up(max(ends, default=1.0)) or 1.0
    middle, half = (_TOP + HEIGHT - _BOTTOM) / 2, (HEIGHT - _TOP - _BOTTOM) / 2
    step = (WIDTH - _LEFT - _RIGHT) / max(len(points), 1)
    marks = [
        f'<line x1="{_LEFT}" y1="{middle:.0f}" x2="{WIDTH - _RIGHT}" y2="{middle:.0f}" stroke="var(--faint)" '
        'stroke-dasharray="4 3"/>'
    ]
    for number, (name, lower, value, upper) in enumerate(points):
        x = _LEFT + (number + 0.5) * step
        low, high = (middle - half * max(-1.0, min(end / top, 1.0)) for end in (_or(lower, -top), _or(upper, top)))
        told = " to ".join("no end" if end is None else _signed(end) for end in (lower, upper))
        title = escape(f"{name}: {_signed(value)}{unit}, from {told}")
        y = middle - half * value / top
        marks.append(
            f'<g><title>{title}</title><line x1="{x:.1f}" y1="{low:.1f}" x2="{x:.1f}" y2="{high:.1f}" '
            f'stroke="var(--mark)" stroke-width="2"/><circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="var(--mark)"/></g>'
        )
    names: list[Point] = [(name, value) for name, _, value, _ in points]
    return _frame(marks, label, top, "", names, bottom=_signed(-top))


def calibration(points: Sequence[tuple[float, float, int]], label: str) -> str:
    """Promised against taken shares, from 0 to 1, with the diagonal of a perfect gate; dots grow with their count."""
    most = max((count for _, _, count in points), default=1)
    size = HEIGHT - _TOP - _BOTTOM
    marks = [
        f'<line x1="{_LEFT}" y1="{HEIGHT - _BOTTOM}" x2="{_LEFT + size}" y2="{_TOP}" stroke="var(--faint)" '
        'stroke-dasharray="4 3"/>'
    ]
    for promised, taken, count in points:
        title = escape(f"promised {promised:.0%}, taken {taken:.0%} of {count}")
        marks.append(
            f'<circle cx="{_LEFT + promised * size:.1f}" cy="{_y(taken, 1.0):.1f}" '
            f'r="{2 + 6 * (count / most) ** 0.5:.1f}" fill="var(--mark)" fill-opacity="0.7">'
            f"<title>{title}</title></circle>"
        )
    ends: list[Point] = [("0%", None), ("promised", None), ("100%", None)]
    return _frame(marks, label, 1.0, "", ends, right=_LEFT + size)


def _frame(
    marks: Sequence[str],
    label: str,
    top: float,
    unit: str,
    points: Sequence[Point],
    right: float = WIDTH - _RIGHT,
    bottom: str = "0",
) -> str:
    """Axis, two labels at its ends, the first, middle and last name below."""
    low = HEIGHT - _BOTTOM
    names = []
    if points:
        shown = sorted({0, len(points) // 2, len(points) - 1})
        anchors = ("start", "middle", "end") if len(shown) == 3 else ("start", "end")
        for index, anchor in zip(shown, anchors, strict=False):
            x = _LEFT + (right - _LEFT) * (0.0 if anchor == "start" else 1.0 if anchor == "end" else 0.5)
            names.append(f'<text x="{x:.0f}" y="{HEIGHT - 8}" text-anchor="{anchor}">{escape(points[index][0])}</text>')
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(label)}">'
        f'<line x1="{_LEFT}" y1="{low}" x2="{right:.0f}" y2="{low}" stroke="var(--faint)"/>'
        f'<text x="{_LEFT - 6}" y="{_TOP + 8}" text-anchor="end">{_number(top)}{escape(unit)}</text>'
        f'<text x="{_LEFT - 6}" y="{low}" text-anchor="end">{escape(bottom)}</text>'
        f"{''.join(marks)}{''.join(names)}</svg>"
    )


def _polyline(points: Sequence[str]) -> str:
    if len(points) < 2:
        return ""
    return f'<polyline points="{" ".join(points)}" fill="none" stroke="var(--mark)" stroke-width="1.5"/>'


def _y(value: float, top: float) -> float:
    return HEIGHT - _BOTTOM - (HEIGHT - _TOP - _BOTTOM) * min(value / top, 1.0)


def _title(name: str, value: float, unit: str) -> str:
    return escape(f"{name}: {_number(value)}{unit}")


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.2f}"


def _signed(value: float) -> str:
    return f"{value:+.3g}"


def _or(value: float | None, otherwise: float) -> float:
    return otherwise if value is None else value


def _round_up(value: float) -> float:
    """The next of 1, 2, 5, 10, 20, 50 ... (or of 0.1, 0.2 ...)."""
    size = 1.0
    while size < value:
        size *= 10
    while size / 10 >= value > 0:
        size /= 10
    return next((size * part for part in (0.1, 0.2, 0.5) if size * part >= value), size)
