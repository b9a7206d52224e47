"""The overview page holds what its tables say, in the order of the DAG, in one file that needs nothing else."""

import base64
import io
import itertools
import json
import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from cellsignal.explained_sites import Explanations
from cellsignal.figures.captions import as_html, filled_in, first_sentence
from cellsignal.figures.headlines import headlines
from cellsignal.figures.overview_data import explained, searchable
from cellsignal.figures.overview_page import Picture, overview_page
from cellsignal.figures.thumbnails import thumbnail, veil

CAPTION = """
What ``{{ snakemake.config["recipe"] }}`` sees of
``{{ snakemake.config["screen"]["name"] }}``, by *cell type*. A second sentence.

**What to see.** Nothing.
"""


def decoded(uri: str) -> Image.Image:
    kind, _, content = uri.partition(";base64,")
    assert kind == "data:image/webp"
    return Image.open(io.BytesIO(base64.b64decode(content)))


# ---------------------------------------------------------------- captions and thumbnails


def test_captions_are_filled_in_and_become_paragraphs() -> None:
    text = filled_in(CAPTION, "demo", "my_screen")
    html = as_html(text)
    assert html.count("<p>") == 2 and "<strong>What to see.</strong> Nothing." in html
    assert "<em>cell type</em>" in html and "my_screen" in html and "``" not in html
    assert first_sentence(text) == "What demo sees of my_screen, by cell type."


def test_captions_cannot_read_files() -> None:
    assert "root:" not in as_html(".. include:: /etc/passwd") and "<script" not in as_html(
        ".. raw:: html\n\n   <script>"
    )


def test_thumbnails_are_no_larger_than_asked_and_never_enlarged() -> None:
    image = np.linspace(0, 1, 300 * 200).reshape(200, 300)
    small = decoded(thumbnail(image, 96))
    assert small.size == (96, 64)
    assert np.asarray(small.convert("L"))[:, -1].mean() > np.asarray(small.convert("L"))[:, 0].mean()
    assert decoded(thumbnail(image[:20, :30], 96)).size == (30, 20)
    assert thumbnail(image, 96) == thumbnail(image, 96)


def test_a_veil_hides_nothing_where_there_is_no_evidence() -> None:
    rgba = veil(np.array([[0.0, 0.5, 1.0]]))
    assert rgba[0, :, 3].tolist() == [0, 0.375, 0.75]


# ---------------------------------------------------------------- what the page knows


@pytest.fixture
def data() -> dict:
    random = np.random.default_rng(0)
    names = {0: "gene0", 1: "gene1"}
    sites = pd.DataFrame(
        {"site_id": ["E1_A_1", "E2_A_1"], "well_id": ["E1_A", "E2_A"], "cell_type": "HUVEC",
         "experiment": ["E1", "E2"], "sirna": [0, 1]}
    )  # fmt: skip
    found = Explanations(
        site_id=sites["site_id"].to_numpy(str),
        called=np.array([0, 0]),
        probability=np.array([0.91, 0.4], np.float32),
        cam=random.integers(0, 256, (2, 12, 12), dtype=np.uint8),
        correlation=np.array([[0.5, -0.1], [np.nan, np.nan]], np.float32),
        distance=np.array([[0.8, 0.4], [np.nan, np.nan]], np.float32),
        layer="backbone.layer4",
    )
    neighbours = pd.DataFrame(
        {"site_id": ["E1_A_1"] * 2, "rank": [2, 1], "neighbour_site_id": ["E2_B_1", "E2_A_1"],
         "neighbour_experiment": "E2", "neighbour_class_name": ["", "gene1"], "neighbour_called": "gene0",
         "cosine": [0.5, 0.75]}
    )  # fmt: skip
    pixels = {site: random.integers(0, 255, (2, 12, 12), np.uint8) for site in ("E1_A_1", "E2_A_1", "E2_B_1")}
    wells = pd.DataFrame(
        {"well_id": ["E1_A", "E2_A", "E2_B"], "well_type": ["treatment", "treatment", "negative_control"],
         "cell_type": "HUVEC", "role": ["out_of_fold", "test", ""], "sirna": [0, 1, -1], "predicted": [0, 0, -1],
         "probability": [0.914, 0.4, np.nan]}
    )  # fmt: skip
    return {
        "explained": explained(sites, found, neighbours, wells, pixels, names, ["DNA", "actin"], 96),
        "searchable": searchable(wells, names),
    }


def test_explained_sites_have_images_maps_attention_and_their_neighbours_in_order(data: dict) -> None:
    first, second = data["explained"]["sites"]
    assert (first["class"], first["called"], first["p"]) == ("gene0", "gene0", 0.91)
    assert (second["class"], second["called"]) == ("gene1", "gene0")
    assert [near["id"] for near in first["near"]] == ["E2_A_1", "E2_B_1"] and second["near"] == []
    assert (first["outcome"], first["scored"]) == ("right", "gene0")
    assert (second["outcome"], second["scored"]) == ("wrong", "gene0")
    assert first["correlation"] == [0.5, -0.1] and first["attention"] == [1.0, -0.2] and first["distance"] == [1.0, 0.5]
    assert second["correlation"] is second["attention"] is second["distance"] is None  # its map is empty
    assert len(first["channels"]) == 2
    assert set(data["explained"]["images"]) == {"E1_A_1", "E2_A_1", "E2_B_1"}
    assert decoded(first["cam"]).mode == "RGBA" and decoded(data["explained"]["images"]["E2_B_1"]).size == (12, 12)


def test_every_well_can_be_searched_with_its_class_and_call(data: dict) -> None:
    wells = data["searchable"]
    assert wells["id"] == ["E1_A", "E2_A", "E2_B"] and wells["classes"] == ["gene0", "gene1"]
    assert [wells["types"][i] for i in wells["type"]] == ["treatment", "treatment", "negative_control"]
    assert (wells["true"], wells["called"], wells["percent"]) == ([0, 1, -1], [0, 0, -1], [91, 40, -1])
    assert wells["roles"][wells["role"][1]] == "test"


def test_headlines_are_the_numbers_of_the_scores() -> None:
    scores = {
        "test": {
            "wells": 200,
            "accuracy": 0.9,
            "interval": {"low": 0.85, "high": 0.957, "groups": 6, "unit": "experiment"},
        },
        "out_of_fold": {
            "wells": 400,
            "accuracy": 0.75,
            "calibration_error": 0.0312,
            "interval": {"low": None, "high": None, "groups": 1, "unit": "plate"},
        },
        "ladder": {
            "of": "test wells",
            "rungs": [
                {"name": "baseline", "accuracy": 0.2, "wells": 200, "reference": True},
                {"name": "ensemble, round 0", "accuracy": 0.7, "wells": 200, "reference": False},
                {"name": "+ assignment", "accuracy": 0.9, "wells": 200, "reference": False},
            ],
        },
    }
    experiments = pd.DataFrame({"experiment": ["E1", "E2"], "outlier": [False, True]})
    measures = pd.DataFrame(
        {
            "round": ["in round 0", "1"],
            "grouping": "class",
            "purity": [0.5, 0.6],
            "chance": 0.02,
            "silhouette": [-0.1, 0.05],
        }
    )
    found = {headline.name: headline for headline in headlines(scores, experiments, measures)}
    test, held_out = found["Accuracy, test wells"], found["Accuracy, held-out wells"]
    assert test.value == "90.0\u00a0%"
    assert test.note.endswith("; 200 wells of 6 experiments, whose 95\u00a0% interval is 85.0–95.7\u00a0%")
    assert held_out.note.endswith("; 400 wells of 1 plate")
    assert (
        found["The ladder"].value == "+20.0 points" and "“ensemble, round 0” (70.0\u00a0%)" in found["The ladder"].note
    )
    assert found["Calibration error"].value == "0.031"
    assert found["Clusters"].value == "60.0\u00a0%" and found["Clusters"].note.endswith(
        "; 50.0\u00a0% in round 0: the further training is part of the difference. Silhouette: −0.10 to 0.05"
    )
    assert (found["Outlier experiments"].value, found["Outlier experiments"].note) == ("1", "E2")
    scores["test"] = None
    none = measures.assign(silhouette=np.nan).iloc[:1]
    without = {headline.name: headline for headline in headlines(scores, experiments.iloc[:1], none)}
    assert "Accuracy, test wells" not in without and "nan" not in without["Clusters"].note
    assert without["Outlier experiments"].value == "0"
    few = headlines(scores | {"test": None}, experiments, measures.assign(purity=np.nan))
    assert "Clusters" not in {headline.name for headline in few}


def test_headlines_say_that_nothing_was_held_out() -> None:
    scores = {
        "test": None,
        "out_of_fold": {"wells": 0, "caveat": "no fold held out any well: so it is"},
        "ladder": {"of": "out-of-fold wells", "rungs": []},
    }
    experiments = pd.DataFrame({"experiment": [], "outlier": []})
    measures = pd.DataFrame(
        {"round": ["0"], "grouping": "class", "purity": [np.nan], "chance": 0.0, "silhouette": [np.nan]}
    )
    found = {headline.name: headline for headline in headlines(scores, experiments, measures)}
    held_out = found["Accuracy, held-out wells"]
    assert (held_out.value, held_out.note) == ("none", "no fold held out any well: so it is")
    assert found.keys() == {"Accuracy, held-out wells", "Outlier experiments"}  # no class is known: no clusters either


# ---------------------------------------------------------------- the page


class Tags(HTMLParser):
    """Tags with their attributes, in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [about for name, about in self.found if name == tag]


@pytest.fixture
def page(data: dict) -> str:
    svg = b"<svg xmlns='http://www.w3.org/2000/svg'/>"
    pictures = [
        Picture(
            "samples_per_class", "1 Data", "svg", svg, "<p>How</p>", "Wells & classes.", [("a.csv", b"x,y\n1,2\n")]
        ),
        Picture("embed_tsne", "4 Explanation", "svg", svg, "<p>How</p>", "A map.", [("b.csv", b"1"), ("c.csv", b"2")]),
    ]
    data["explained"]["sites"][0]["class"] = "</script><b>"  # names come from users' tables
    return overview_page("my <screen>", "demo", [], pictures, data)


def test_the_page_needs_nothing_else_and_its_data_cannot_break_out(page: str) -> None:
    tags = Tags(page)
    sources = [about.get("src") or "" for about in tags.of("img")] + [about["href"] or "" for about in tags.of("a")]
    assert all(not source or source.startswith(("data:", "#")) for source in sources)
    content = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert content and json.loads(content[1])["explained"]["sites"][0]["class"] == "</script><b>"
    assert "<title>my &lt;screen&gt;, demo: overview</title>" in page


def test_without_a_site_to_look_at_the_page_says_why(page: str, data: dict) -> None:
    assert "experiments that fold 0 held out" in page and "fold 0 held out no wells" not in page
    data["explained"].update(sites=[], images={})
    empty = overview_page("my screen", "demo", [], [], data)
    assert "fold 0 held out no wells" in empty and "experiments that fold 0 held out" not in empty


def test_figures_stand_in_order_with_their_words_and_the_tables_behind_them(page: str) -> None:
    tags = Tags(page)
    assert [about["id"] for about in tags.of("figure")] == ["samples_per_class", "embed_tsne"]
    assert [about["alt"] for about in tags.of("img") if about.get("alt")] == ["Wells & classes.", "A map."]
    downloads = {about["download"]: about["href"] for about in tags.of("a") if "download" in about}
    assert list(downloads) == ["a.csv", "b.csv", "c.csv"]
    assert base64.b64decode(str(downloads["a.csv"]).partition("base64,")[2]) == b"x,y\n1,2\n"
    for anchor in (str(about["href"])[1:] for about in tags.of("a") if str(about["href"]).startswith("#")):
        assert f'id="{anchor}"' in page, anchor


def test_every_control_has_a_label_and_headings_skip_no_level(page: str) -> None:
    tags = Tags(page)
    labelled = {about["for"] for about in tags.of("label")}
    assert {about["id"] for about in tags.of("input") + tags.of("select")} == labelled
    levels = [int(tag[1]) for tag, _ in tags.found if re.fullmatch(r"h\d", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    ids = [about["id"] for _, about in tags.found if "id" in about]
    assert len(ids) == len(set(ids))
