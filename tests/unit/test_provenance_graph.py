"""The provenance page of a hand-made recipe: it shows what the receipts say, and needs nothing else."""

import re
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from small_recipe import SmallRecipe

from cellsignal.figures.provenance_graph import provenance_graph
from cellsignal.figures.rule_graph import RAW, Step, direct, rule_graph, steps_behind
from cellsignal.figures.rule_words import WORDS
from cellsignal.provenance.walk import Ancestry, walk

ROOT = Path(__file__).resolve().parents[2]
VOID = {"meta", "br", "wbr", "path"}


class Page(HTMLParser):
    """The page's elements: attributes by tag, text by the box that it stands in, and whether all are closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[tuple[str, dict[str, str]]] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text: dict[str, str] = {}
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attributes}
        self.elements.append((tag, found))
        if tag not in VOID:
            self.open.append((tag, found))

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attributes}))

    def handle_endtag(self, tag: str) -> None:
        last, _ = self.open.pop()
        assert last == tag, f"</{tag}> closes <{last}>"

    def handle_data(self, data: str) -> None:
        box = next((attributes["data-rule"] for tag, attributes in self.open if tag == "li" and "id" in attributes), "")
        self.text[box] = self.text.get(box, "") + data

    def having(self, name: str) -> list[dict[str, str]]:
        return [attributes for _, attributes in self.elements if name in attributes]


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> SmallRecipe:
    return SmallRecipe(tmp_path_factory.mktemp("project"))


@pytest.fixture(scope="module")
def ancestry(recipe: SmallRecipe) -> Ancestry:
    return walk(recipe.submission)


@pytest.fixture(scope="module")
def steps(ancestry: Ancestry) -> list[Step]:
    return steps_behind(ancestry)


@pytest.fixture(scope="module")
def text(ancestry: Ancestry, steps: list[Step]) -> str:
    return provenance_graph(steps, "s/r/submission.csv", ancestry.top)


@pytest.fixture(scope="module")
def page(text: str) -> Page:
    return Page(text)


def test_the_page_is_well_formed(page: Page) -> None:
    assert not page.open
    assert [tag for tag, _ in page.elements].count("main") == 1
    ids = [attributes["id"] for attributes in page.having("id")]
    assert len(ids) == len(set(ids))


def test_it_needs_no_network(text: str, page: Page) -> None:
    assert not re.findall(r"https?:|//[a-z]|@import|url\((?!#)", text)
    assert not page.having("src")
    assert {attributes["href"][0] for attributes in page.having("href")} == {"#"}


def test_there_is_a_box_for_every_rule_with_the_number_of_its_jobs(page: Page, ancestry: Ancestry) -> None:
    jobs = Counter(receipt.rule for receipt in ancestry.receipts.values())
    assert jobs["pack_plate"] == 3 and jobs["finetune_cell_type"] == 4
    boxes = {attributes["data-rule"] for attributes in page.having("id") if "data-rule" in attributes}
    assert boxes == {*jobs, RAW}
    for rule, count in jobs.items():
        assert f"{rule} × {count}" in page.text[rule]


def test_every_receipt_stands_there_once_with_its_hashes(page: Page, ancestry: Ancestry) -> None:
    listed = Counter(attributes["data-receipt"] for attributes in page.having("data-receipt"))
    assert listed == Counter(list(ancestry.receipts))
    for path, receipt in ancestry.receipts.items():
        for hash_ in (ancestry.sha256[path], receipt.stage["sha256"]):
            assert hash_ in page.text[receipt.rule]


def test_lines_between_boxes_are_the_edges_between_receipts(page: Page, ancestry: Ancestry) -> None:
    rules = {path: receipt.rule for path, receipt in ancestry.receipts.items()}
    edges = {(rules[name], receipt.rule) for receipt in ancestry.receipts.values() for name in receipt.inputs}
    raw = {(RAW, receipt.rule) for receipt in ancestry.receipts.values() if receipt.raw}
    drawn = [(line["data-from"], line["data-to"]) for line in page.having("data-from")]
    assert set(drawn) == edges | raw
    assert len(drawn) == len(set(drawn))


def test_the_submission_s_receipt_is_there_in_full(text: str, page: Page, ancestry: Ancestry) -> None:
    receipt = ancestry.sha256[ancestry.top]
    assert f'<code class="hash">{receipt}</code>' in text
    assert receipt in page.text["submission"]


def test_boxes_open_by_keyboard_and_only_the_result_is_open_at_first(page: Page) -> None:
    boxes = [attributes for tag, attributes in page.elements if tag == "details" and attributes.get("name") == "box"]
    assert len(boxes) == 8
    assert [box for box in boxes if "open" in box] == [{"name": "box", "open": ""}]
    assert not page.having("onclick") and not page.having("tabindex")  # nothing that only a mouse reaches


def test_settings_are_told_and_those_that_differ_between_jobs(page: Page) -> None:
    assert re.search(r"train\.rate\s*0\.5", page.text["train_model"])
    assert re.search(r"unit\s*A_1 \| A_2 \| B_1", page.text["pack_plate"])


def test_settings_files_are_said_to_lie_in_the_folder_that_holds_them_all(
    steps: list[Step], ancestry: Ancestry
) -> None:
    packed = [step for step in steps if step.rule == "pack_plate"]
    assert len(packed) == 3
    moved = {
        step.path: replace(step, stage=f"s/stages/pack_plate/{model}/HUVEC.json")
        for step, model in zip(packed, ("byobnet", "resnet", "resnet10t"), strict=True)
    }
    page = Page(provenance_graph([moved.get(s.path, s) for s in steps], "s/r/submission.csv", ancestry.top))
    assert "Settings: 3 files in pack_plate/" in page.text["pack_plate"]


def test_rounds_make_no_circle(steps: list[Step]) -> None:
    boxes = {box.rule: box for box in rule_graph(steps)}
    assert boxes["finetune_cell_type"].later == {"pseudo_labels"}
    assert not any(box.later for rule, box in boxes.items() if rule != "finetune_cell_type")
    for box in boxes.values():
        assert all(boxes[source].layer < box.layer for source in box.sources.keys() - box.later)
    assert len({(box.layer, box.column) for box in boxes.values()}) == len(boxes)


def test_bold_lines_are_those_without_a_way_around(steps: list[Step]) -> None:
    bold = direct(rule_graph(steps))
    assert ("index_sites", "pack_plate") in bold and ("index_sites", "train_model") not in bold
    assert ("pack_plate", "train_model") in bold and ("pack_plate", "finetune_cell_type") not in bold


def test_files_that_a_job_made_are_not_raw_data(steps: list[Step]) -> None:
    drawn = [Step(**{**vars(step), "foreign": 0}) for step in steps]
    assert RAW not in {box.rule for box in rule_graph(drawn)}
    (raw,) = (box for box in rule_graph(steps) if box.rule == RAW)
    assert raw.layer == 0 and not raw.steps


def test_the_same_jobs_in_another_order_give_the_same_page(text: str, steps: list[Step], ancestry: Ancestry) -> None:
    assert provenance_graph(list(reversed(steps)), "s/r/submission.csv", ancestry.top) == text


def test_names_are_escaped(steps: list[Step]) -> None:
    odd = Step("<i>.receipt.json", "0" * 64, "<b>", {"plate": "<u>"}, "<s>.json", "1" * 64, {"<a>": "<q>"}, (), 1, 1)
    text = provenance_graph([odd], "<i>", odd.path)
    assert not re.search(r"<[iusaq]>", text)
    assert Page(text).text["<b>"]


def test_every_rule_of_the_workflow_is_told_in_plain_words() -> None:
    rules = set()
    for path in sorted((ROOT / "rules").glob("*.smk")):
        if path.name not in ("report.smk", "explain.smk", "papers.smk", "ablation.smk", "audit.smk"):
            rules |= set(re.findall(r"^ *rule (\w+):", path.read_text(encoding="utf-8"), re.MULTILINE))
    assert len(rules) > 10
    assert rules <= WORDS.keys()
    assert all(len(title) <= 24 and len(sentence) <= 130 for title, sentence in WORDS.values())  # a box holds no more
