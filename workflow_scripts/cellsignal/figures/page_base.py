"""What all pages of the report share: a document that needs nothing else, its letters, colours and focus."""

from html import escape

from cellsignal.figures import style

BASE_STYLE = f"""
:root {{ --ink: {style.INK}; --muted: #5c5c5c; --line: #b9b9b9; --accent: {style.BLUE}; --loop: #B34700; }}
* {{ box-sizing: border-box; }}
body {{ margin: 0; padding: 20px; color: var(--ink); background: #fff;
  font: 15px/1.5 "DejaVu Sans", Verdana, system-ui, sans-serif; }}
h1 {{ font-size: 22px; line-height: 1.25; margin: 0 0 10px; }}
h2 {{ font-size: 17px; margin: 0 0 4px; }} h3 {{ font-size: 14px; margin: 18px 0 4px; }}
p {{ margin: 0 0 10px; }}
code, .mono {{ font: 12px/1.45 "DejaVu Sans Mono", Menlo, Consolas, monospace; overflow-wrap: anywhere; }}
a {{ color: var(--accent); }}
.muted {{ color: var(--muted); font-size: 13px; }}
summary:focus-visible, a:focus-visible, button:focus-visible, input:focus-visible, select:focus-visible,
[tabindex]:focus-visible {{ outline: 3px solid {style.ORANGE}; outline-offset: 2px; }}
table {{ border-collapse: collapse; width: 100%; font-size: 12.5px; }}
th {{ text-align: left; font-weight: bold; }}
th, td {{ padding: 3px 8px 3px 0; vertical-align: top; border-bottom: 1px solid #e4e4e4; overflow-wrap: anywhere; }}
"""


def document(title: str, css: str, body: str, script: str) -> str:
    """A whole HTML document. `title` is text; `css`, `body` and `script` are taken as they are."""
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>{BASE_STYLE}{css}</style>
</head>
<body>
{body}
<script>{script}</script>
</body>
</html>
"""
