"""Captions of figures, written in reStructuredText for Snakemake's report, as HTML and as plain text."""

import re
from types import SimpleNamespace

from docutils.core import publish_parts
from jinja2 import Template

DOCUTILS = {"file_insertion_enabled": False, "raw_enabled": False, "report_level": 5}


def filled_in(caption: str, recipe: str, screen: str) -> str:
    """A caption with what Snakemake's report would fill in: the names of the recipe and of the screen."""
    snakemake = SimpleNamespace(config={"recipe": recipe, "screen": {"name": screen}})
    return str(Template(caption).render(snakemake=snakemake))


def as_html(caption: str) -> str:
    """The paragraphs of a caption as HTML."""
    parts = publish_parts(caption, writer="html5", settings_overrides=DOCUTILS)
    return str(parts["body"]).strip()


def first_sentence(caption: str) -> str:
    """The first sentence of a caption without markup: what a figure shows, for those who cannot see it."""
    plain = re.sub(r"(``|\*\*|\*)(.+?)\1", r"\2", " ".join(caption.split()))
    return re.split(r"(?<=[.!?]) (?=[A-Z])", plain, maxsplit=1)[0]
