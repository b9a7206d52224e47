"""`snakemake audit`: passes where nothing changed, else fails and names the file, the setting or the module."""

import re

from projects import Project, flip_a_byte

SUBMISSION = "results/tiny_screen/tiny/submission.csv"


def answer(output: str, question: str) -> list[str]:
    """The problems that the submission's verdict lists under `intact`, `current` or `clean`."""
    verdict = output.partition(f"Audit of {SUBMISSION}: FAILED")[2].partition("Audit of ")[0]
    found = re.search(rf"^  {question}: NO\n((?:    - .*\n)+)", verdict, re.MULTILINE)
    return [line.removeprefix("    - ") for line in found[1].splitlines()] if found else []


def test_an_untouched_run_passes(finished: Project) -> None:
    output = finished.run("audit")
    assert re.findall(r"Audit of (\S+): (\w+)", output) == [
        (SUBMISSION, "PASSED"),
        ("results/tiny_screen/tiny/scores.json", "PASSED"),
    ]


def test_flipped_bytes_are_named_with_their_way_to_the_submission(project: Project) -> None:
    flipped = [
        project.one("raw/images/**/*.png"),
        project.one("plates/*.h5"),
        project.one("models/byobnet/fold1/stage1/weights.safetensors"),
    ]
    for path in flipped:
        flip_a_byte(path)
    assert project.planned() == {}  # Snakemake itself sees nothing
    problems = answer(project.fail("audit"), "intact")
    names = {path.relative_to(project.folder / "results").as_posix() for path in flipped}
    assert {problem.split(":")[0] for problem in problems} == names
    assert all("submission.csv.receipt.json" in problem for problem in problems)


def test_a_run_whose_audit_fails_fails_and_leaves_no_verdict(project: Project) -> None:
    store = project.one("plates/*.h5")
    flip_a_byte(store)
    output = project.fail("all", "--forcerun", "audit_verdict")
    assert f"{store.relative_to(project.folder / 'results')}: SHA-256" in output
    assert not project.results("tiny/audit.json")


def test_what_changed_since_the_run_is_named_by_setting_and_module(project: Project) -> None:
    project.overlay({"balance": {"method": "uniqueness"}})
    path = project.folder / "workflow_scripts/cellsignal/losses.py"
    path.write_text(f"{path.read_text()}\n\nCHANGED = True\n")
    output = project.fail("audit")
    stages = "tiny_screen/tiny/stages"
    assert answer(output, "intact") == [] and answer(output, "clean") == []
    assert answer(output, "current") == [
        f"{stages}/balance_plates.json: balance.method: 'uniqueness', was 'assignment'",
        f"{stages}/finetune_cell_type/byobnet/HUVEC.json: cellsignal.losses: changed",
        f"{stages}/pseudo_labels/labels.json: balance.method: 'uniqueness', was 'assignment'",
        f"{stages}/train_model/byobnet.json: cellsignal.losses: changed",
    ]
