"""Pages that stand alone: one file without scripts that loads nothing, with plots as SVG and plain tables. Pure."""

from collections.abc import Sequence
from html import escape

_STYLE = """
:root { color-scheme: light dark; --mark: #3a6ea5; --faint: #8888; }
@media (prefers-color-scheme: dark) { :root { --mark: #7fb0e6; } }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 680px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.05rem; margin: 2rem 0 .3rem; }
svg { width: 100%; height: auto; } svg text { font: 11px system-ui, sans-serif; fill: currentColor; }
table { border-collapse: collapse; width: 100%; }
td, th { padding: .2rem .5rem; border-bottom: 1px solid var(--faint); }
th { text-align: left; } td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; }
"""


def page(title: str, body: str) -> str:
    """The whole page; `body` is HTML, `title` is not."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f'<meta name="viewport" content="width=device-width"><title>{escape(title)}</title><style>{_STYLE}</style>'
        f"</head><body>{body}</body></html>\n"
    )


def plot(title: str, svg: str) -> str:
    """A plot under its title."""
    return f"<h2>{escape(title)}</h2>{svg}"


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; all columns but the first are set as numbers."""
    if not rows:
        return "<p>Nothing yet.</p>"
    head = "".join(f"<th{' class=n' if n else ''}>{escape(name)}</th>" for n, name in enumerate(columns))
    body = "".join(
        "<tr>" + "".join(f"<td{' class=n' if n else ''}>{escape(cell)}</td>" for n, cell in enumerate(row)) + "</tr>"
        for row in rows
    )
    return f"<table><tr>{head}</tr>{body}</table>"
