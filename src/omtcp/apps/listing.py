"""The page that shows a directory."""

from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape
from urllib.parse import quote

from omtcp.apps.tree import Entry

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Index of {title}</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em; }}
table {{ border-collapse: collapse; width: 100%; }}
th, td {{ text-align: left; padding: .2em .6em; border-bottom: 1px solid #8884; }}
td:first-child {{ word-break: break-all; }}
.number {{ text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }}
</style>
</head>
<body>
<h1>Index of {title}</h1>
<table>
<thead><tr><th>Name</th><th class="number">Size</th><th>Modified (UTC)</th></tr></thead>
<tbody>
{rows}
</tbody>
</table>
{note}</body>
</html>
"""


def render_listing(
    segments: Sequence[bytes], entries: Sequence[Entry], *, truncated: bool = False
) -> bytes:
    """The HTML page for the directory that the path segments name, as UTF-8."""
    title = "/" + "".join(f"{_text(segment)}/" for segment in segments)
    rows = [_row(entry) for entry in entries]
    if segments:
        rows.insert(0, '<tr><td><a href="../">../</a></td><td></td><td></td></tr>')
    note = f"<p>Only {len(entries)} entries are shown; there are more.</p>\n" if truncated else ""
    return _PAGE.format(title=escape(title), rows="\n".join(rows), note=note).encode()


def human_size(size: float) -> str:
    """A size in binary units with three digits or so: `512 B`, `1.5 KiB`, `12.0 GiB`."""
    if size < 1024:
        return f"{size:.0f} B"
    for unit in ("KiB", "MiB", "GiB", "TiB", "PiB"):
        size /= 1024
        if size < 1023.95 or unit == "PiB":
            break
    return f"{size:.1f} {unit}"


def _row(entry: Entry) -> str:
    slash = "/" if entry.is_directory else ""
    href = quote(entry.name, safe="") + slash
    size = "" if entry.is_directory else human_size(entry.size)
    exact = "" if entry.is_directory else f' title="{entry.size} bytes"'
    modified = datetime.fromtimestamp(entry.modified, UTC).strftime("%Y-%m-%d %H:%M")
    return (
        f'<tr><td><a href="{href}">{escape(_text(entry.name))}{slash}</a></td>'
        f'<td class="number"{exact}>{size}</td><td>{modified}</td></tr>'
    )


def _text(name: bytes) -> str:
    """A file name for the eye; what is not UTF-8 or not printable shows as a replacement."""
    return "".join(c if c.isprintable() else "\ufffd" for c in name.decode("utf-8", "replace"))
