"""The overview page: headline numbers, wells to look at, and every figure with the table behind it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from cellsignal.figures.headlines import Headline
from cellsignal.figures.overview_script import SCRIPT, STYLE
from cellsignal.figures.page_base import document
from cellsignal.figures.style import words
from cellsignal.figures.thumbnails import data_uri

SITES_SHOWN = """One site per well of some treatments, of experiments that fold 0 held out: its network did not see
them. ✗: it called another class. All networks together call a treatment well a treatment; one alone may call it a
control."""
NO_SITES = "No site to look at closely: fold 0 held out no wells, so that its network saw all whose class is known."
KINDS = {"png": "image/png", "svg": "image/svg+xml"}


@dataclass(frozen=True)
class Picture:
    """A figure on the page.

    Attributes:
        name: of the rule. category: of the report, such as `1 Data`.
        kind: `png` or `svg`. content: the file.
        caption: as HTML. alt: what it shows, in a sentence.
        tables: (file name, content) of the CSV files behind it.
    """

    name: str
    category: str
    kind: str
    content: bytes
    caption: str
    alt: str
    tables: Sequence[tuple[str, bytes]]


def overview_page(
    screen: str, recipe: str, headlines: Sequence[Headline], pictures: Sequence[Picture], data: dict[str, Any]
) -> str:
    """The page as HTML that needs nothing else; figures in the order given, which is that of the DAG.

    `data`: `explained` and `searchable` of `overview_data`, under these names.
    """
    categories = list(dict.fromkeys(picture.category for picture in pictures))
    content = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False).replace("</", "<\\/")
    body = f"""<a class="skip" href="#main">Skip to the content</a>
<nav aria-label="Sections">
<ul>
<li><a href="#numbers">Numbers</a></li>
<li><a href="#look">Look at wells</a></li>
{chr(10).join(_entry(category, pictures) for category in categories)}
</ul>
</nav>
<main id="main" tabindex="-1">
<h1>{escape(screen)}: what the recipe {escape(recipe)} sees</h1>
<p>Everything on this page is in this one file. The page “provenance” of the same report tells how each result was
made; <code>cellsignal row WELL</code> tells all that led to the call of one well.</p>
<section id="numbers" aria-labelledby="numbers-title">
<h2 id="numbers-title">Numbers</h2>
<dl class="numbers">
{chr(10).join(_headline(headline) for headline in headlines)}
</dl>
</section>
{_explorer(data["explained"])}
{chr(10).join(_section(category, pictures) for category in categories)}
</main>
<script type="application/json" id="data">{content}</script>"""
    return document(f"{screen}, {recipe}: overview", STYLE, body, SCRIPT)


def _title(name: str) -> str:
    words = name.replace("_", " ")
    titles = {
        "embed tsne": "t-SNE of embeddings",
        "grad cam": "Grad-CAM",
        "template map": "t-SNE of templates",
        "tsne classes": "t-SNE of a few classes",
        "plate layout": "Plates of an experiment",
        "channel variance": "Variance of channel means",
    }
    return titles.get(words, words[:1].upper() + words[1:])


def _entry(category: str, pictures: Sequence[Picture]) -> str:
    links = [
        f'<li><a href="#{picture.name}">{escape(_title(picture.name))}</a></li>'
        for picture in pictures
        if picture.category == category
    ]
    return f"<li><span>{escape(_words(category))}</span><ul>{''.join(links)}</ul></li>"


def _words(category: str) -> str:
    """A category without the number that sorts it."""
    return category.lstrip("0123456789 ")


def _headline(headline: Headline) -> str:
    return (
        f"<div><dt>{escape(headline.name)}</dt><dd><b>{escape(headline.value)}</b> "
        f'<span class="muted">{escape(headline.note)}</span></dd></div>'
    )


def _section(category: str, pictures: Sequence[Picture]) -> str:
    own = [picture for picture in pictures if picture.category == category]
    anchor = _words(category).lower()
    return (
        f'<section aria-labelledby="{anchor}-title">\n<h2 id="{anchor}-title">{escape(_words(category))}</h2>\n'
        f"{chr(10).join(_figure(picture) for picture in own)}\n</section>"
    )


def _figure(picture: Picture) -> str:
    title = _title(picture.name)
    downloads = " ".join(
        f'<a class="download" download="{escape(name)}" href="{data_uri(content, "text/csv")}">'
        f"{escape(name)} <span>({_size(len(content))})</span></a>"
        for name, content in picture.tables
    )
    return f"""<figure id="{escape(picture.name)}" aria-labelledby="{escape(picture.name)}-title">
<h3 id="{escape(picture.name)}-title">{escape(title)}</h3>
<div class="picture" tabindex="0" role="region" aria-label="{escape(title)}, scrolls sideways on narrow screens">
<img src="{data_uri(picture.content, KINDS[picture.kind])}" alt="{escape(picture.alt)}"></div>
<figcaption><details><summary>How to read it</summary>
{picture.caption}
</details>
<p class="tables">The table behind it: {downloads}</p></figcaption>
</figure>"""


def _explorer(explained: dict[str, Any]) -> str:
    """Pickers, the gallery, one site in detail, and the search; the script fills them."""
    alone = " hidden" if len(explained["channels"]) == 1 else ""  # one channel agrees with the map most, always
    channels = "".join(
        f'<option value="{i}">{escape(words(name))}</option>' for i, name in enumerate(explained["channels"])
    )
    return f"""<section id="look" aria-labelledby="look-title">
<h2 id="look-title">Look at wells</h2>
<form id="search-form" role="search">
<label for="search">Find a well by its id</label>
<input id="search" type="search" autocomplete="off" spellcheck="false" aria-describedby="search-hint">
<p id="search-hint" class="muted"></p>
<ul id="matches" aria-label="Wells that match"></ul>
</form>
<div id="well" aria-live="polite"></div>
<form id="pickers">
<div><label for="cell">Cell type</label><select id="cell"></select></div>
<div><label for="class">Class (siRNA)</label><select id="class"></select></div>
<div><label for="experiment">Experiment</label><select id="experiment"></select></div>
<div><label for="outcome">The network’s call</label><select id="outcome"></select></div>
</form>
<p id="count" class="muted" role="status"></p>
<ul id="gallery" aria-label="Sites"></ul>
<p class="muted">{SITES_SHOWN if explained["sites"] else NO_SITES}</p>
<div id="site" hidden>
<h3 id="site-title" tabindex="-1"></h3>
<p class="controls"><button type="button" id="previous">← Previous site</button>
<button type="button" id="next">Next site →</button></p>
<div class="site">
<div>
<div class="stage"><img id="base" alt=""><img id="veil" alt=""></div>
<div class="controls">
<div><label for="channel">Image</label>
<select id="channel"><option value="-1">all channels, coloured</option>{channels}</select></div>
<div><input id="cam" type="checkbox" checked><label for="cam">Grad-CAM of {escape(explained["layer"])}</label></div>
</div>
</div>
<div>
<dl id="facts"></dl>
<table{alone}>
<caption>Attention: how well the Grad-CAM agrees with each channel. Shares are of the site’s largest; bold:
best</caption>
<thead><tr><th scope="col">channel</th><th scope="col">Pearson’s r</th><th scope="col">share</th>
<th scope="col">1 − distance (the paper’s eq. 15), share</th></tr>
</thead><tbody id="attention"></tbody></table>
</div>
</div>
<h4>Nearest wells of other experiments</h4>
<ul id="near"></ul>
</div>
</section>"""


def _size(number: int) -> str:
    return f"{number / 1000:,.1f} kB" if number < 1_000_000 else f"{number / 1_000_000:,.1f} MB"
