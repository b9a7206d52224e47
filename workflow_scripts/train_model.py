"""Train one model on all cell types, with one fold held out (stage 1)."""

import torch

from cellsignal.checkpoints import clear_state
from cellsignal.config.learning import AugmentSettings, ModelSettings, Optimization
from cellsignal.models import build_model, save_weights
from cellsignal.plates import SiteReader
from cellsignal.processes import leads, processes
from cellsignal.seeds import derive_seed
from cellsignal.sites import read_table, write_table
from cellsignal.training import train
from cellsignal.training_rows import sites_of_role, training_rows

from running import run

with run(snakemake, gpus=snakemake.resources.gpu) as job:
    settings = ModelSettings(**job.settings["model"])
    optimization = Optimization(**job.settings["train"], checkpoint_minutes=snakemake.params.checkpoint_minutes)
    fold = int(snakemake.wildcards.fold)
    torch.set_num_threads(max(1, job.settings["threads"] // processes()))
    seed = derive_seed(job.settings["seed"], "train_model", settings.name, fold)
    torch.manual_seed(seed)

    sites = read_table(snakemake.input.sites, without=["images"])
    statistics = read_table(snakemake.input.statistics)
    reader = SiteReader(snakemake.input.stores)
    folds = read_table(snakemake.input.folds)
    rows = training_rows(
        sites, folds, fold, reader.site_id, controls=optimization.controls, validated=optimization.validated
    )
    result = train(
        build_model(
            settings,
            reader.shape[0],
            len(read_table(snakemake.input.classes)),
            n_cell_types=sites["cell_type"].nunique(),
        ),
        reader,
        labelled=sites_of_role(rows, ["train"], reader, sites, statistics, settings.normalization),
        validation=sites_of_role(rows, ["validation"], reader, sites, statistics, settings.normalization),
        optimization=optimization,
        augment=AugmentSettings(**job.settings["augment"]),
        seed=seed,
        state_dir=snakemake.params.state,
        history_path=snakemake.output.history,
    )
    if leads():
        save_weights(result.student, snakemake.output.weights)
        write_table(rows, snakemake.output.rows)
        job.after_receipt(clear_state, snakemake.params.state)
