"""A hand-made recipe of 16 jobs, from raw images to a figure, laid out as the workflow lays out its results."""

import json
from pathlib import Path

from cellsignal.files import sha256_file, write_text
from cellsignal.provenance.code import code_digests
from cellsignal.provenance.job import Job
from cellsignal.provenance.receipts import receipt_path
from cellsignal.provenance.stages import Stage, stage_text
from cellsignal.provenance.walk import find_receipt

PLATES = ("A_1", "A_2", "B_1")
STARTED = 1_700_000_000.0  # of the first job; each takes a second


class SmallRecipe:
    """A checkout in `folder`, with raw data and the results of screen `s` and recipe `r`."""

    def __init__(self, folder: Path, git: dict[str, object] | None = None) -> None:
        self.folder, self.results, self.raw = folder, folder / "results", folder / "raw"
        self.library = folder / "workflow_scripts"
        self.git = git
        self.jobs = 0
        for name, text in {
            "Snakefile": 'include: "rules/all.smk"\n',
            "rules/all.smk": "# rules\n",
            "config.yaml": "recipe: r\n",
            "LICENSE": "MIT\n",
            "envs/requirements.txt": "snakemake==9.27.1\nnumpy==2.4.6\n",
            "workflow_scripts/cellsignal/__init__.py": "",
            "workflow_scripts/cellsignal/loss.py": "import json\n\n\ndef loss(x):\n    return x\n",
            "raw/metadata.csv": "site\nA\n",
            **{f"raw/images/{plate}/{number}.png": f"{plate} {number}" for plate in PLATES for number in (1, 2)},
            "results/s/r/stages/plan.json": '{"screen": {"name": "s", "kind": "rxrx1", "root": "/elsewhere/data"}}',
        }.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self.submission, self.scores = self.results / "s/r/submission.csv", self.results / "s/r/scores.json"
        self._run()

    def _run(self) -> None:
        self.job("index_sites", "s", {"sites.parquet": "sites", "answers.parquet": "truth"}, raw=["metadata.csv"])
        for plate in PLATES:
            made = {f"plates/{plate}.h5": f"store {plate}", f"plates/{plate}.problems.json": "[]\n"}
            raw = [f"images/{plate}/{number}.png" for number in (1, 2)]
            self.job("pack_plate", "s", made, ["s/sites.parquet"], raw, unit=plate, plate=plate)
        plates = [f"s/plates/{plate}.h5" for plate in PLATES]
        for fold in "01":
            made = {
                f"models/fold{fold}/weights.safetensors": f"weights {fold}",
                f"models/fold{fold}/rows.parquet": "rows",
            }
            self.job("train_model", "s/r", made, ["s/sites.parquet", *plates], fold=fold)
        for number in "01":
            for fold in "01":
                read = [f"s/r/models/fold{fold}/weights.safetensors", *plates]
                read += ["s/r/rounds/0/pseudo_labels.parquet"] if number == "1" else []
                made = {f"models/fold{fold}/round{number}/teacher.safetensors": f"teacher {fold} {number}"}
                self.job("finetune_cell_type", "s/r", made, read, fold=fold, round=number)
            read = [f"s/r/models/fold{fold}/round{number}/teacher.safetensors" for fold in "01"]
            self.job("ensemble_teachers", "s/r", {f"ensembles/round{number}.h5": number}, read, unit=f"round{number}")
            if number == "0":
                made = {"rounds/0/pseudo_labels.parquet": "labels"}
                self.job("pseudo_labels", "s/r", made, ["s/r/ensembles/round0.h5"], round="0")
        self.job("submission", "s/r", {"submission.csv": "id_code,sirna\nA,1\n"}, ["s/r/ensembles/round1.h5"])
        made, read = {"scores.json": "{}\n", "wells.parquet": "wells"}, ["s/sites.parquet", "s/answers.parquet"]
        self.job("score", "s/r", made, ["s/r/submission.csv", *read])
        self.job("score_ladder", "s/r", {"figures/score_ladder.svg": "<svg/>"}, ["s/r/scores.json"])

    def job(
        self,
        rule: str,
        place: str,
        outputs: dict[str, str],
        inputs: list[str] | None = None,
        raw: list[str] | None = None,
        unit: str = "",
        **wildcards: str,
    ) -> None:
        """Run one job: `outputs` are files under `place` and what to write into them."""
        script = self.library / f"{rule}.py"
        script.write_text(f'"""What {rule} does."""\n\nfrom cellsignal.loss import loss\n\nloss(1)\n')
        stage = self.results / place / f"stages/{rule}{f'/{unit}' if unit else ''}.json"
        settings = {"seed": 1, "train": {"rate": 0.5, "epochs": 3}, "unit": unit}
        write_text(stage, stage_text(Stage(rule, settings, code_digests(script, self.library))))
        paths = [self.results / name for name in inputs or []]
        made = [self.results / place / name for name in outputs]
        job = Job(
            rule=rule,
            script=script,
            library=self.library,
            results=self.results,
            stage=stage,
            inputs=[*dict.fromkeys(map(find_receipt, paths)), *paths],
            outputs=made,
            receipt=receipt_path(made[0]),
            wildcards=wildcards,
        )
        for path, content in zip(made, outputs.values(), strict=True):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        job.read_raw({name: sha256_file(self.raw / name) for name in raw or []})
        job.finish()
        name = "/".join([rule, *wildcards.values(), *([unit] if unit else [])])
        record = self.results / place / f"logs/{name}.run.json"
        record.parent.mkdir(parents=True, exist_ok=True)
        content = {"rule": rule, "wildcards": wildcards, "started": STARTED + self.jobs, "seconds": 1.0}
        record.write_text(json.dumps({**content, "gpus": [], "git": self.git}))
        self.jobs += 1
