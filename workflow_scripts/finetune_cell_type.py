"""Fine-tune one model for one cell type with a mean teacher (stage 2), on the pseudo-labels of the round before."""

import torch

from cellsignal.checkpoints import clear_state
from cellsignal.config.learning import AugmentSettings, Finetuning, ModelSettings, PseudoLabelLoss
from cellsignal.models import load_model, save_weights
from cellsignal.plates import SiteReader
from cellsignal.processes import leads, processes
from cellsignal.seeds import derive_seed
from cellsignal.sites import read_table, write_table
from cellsignal.training import train
from cellsignal.training_rows import sites_of_role, training_rows

from running import run

with run(snakemake, gpus=snakemake.resources.gpu) as job:
    settings = ModelSettings(**job.settings["model"])
    finetuning = Finetuning(**job.settings["finetune"])
    pace = {"checkpoint_minutes": snakemake.params.checkpoint_minutes}
    optimization = finetuning.optimization.model_copy(update=pace)
    fold, cell_type, number = int(snakemake.wildcards.fold), snakemake.wildcards.cell_type, snakemake.wildcards.round
    torch.set_num_threads(max(1, job.settings["threads"] // processes()))
    seed = derive_seed(job.settings["seed"], "finetune_cell_type", settings.name, fold, cell_type, number)
    torch.manual_seed(seed)

    sites = read_table(snakemake.input.sites, without=["images"])
    statistics = read_table(snakemake.input.statistics)
    reader = SiteReader(snakemake.input.stores)
    classes = read_table(snakemake.input.classes)
    rows = training_rows(
        sites,
        read_table(snakemake.input.folds),
        fold,
        reader.site_id,
        controls=optimization.controls,
        cell_type=cell_type,
        pseudo_labels=read_table(snakemake.input.pseudo_labels) if snakemake.input.pseudo_labels else None,
        unlabelled=finetuning.mean_teacher.unlabelled,
        validated=optimization.validated,
    )
    labelled, unlabelled, validation = (
        sites_of_role(rows, roles, reader, sites, statistics, settings.normalization)
        for roles in (["train", "pseudo"], ["unlabelled"], ["validation"])
    )
    result = train(
        load_model(settings, reader.shape[0], len(classes), snakemake.input.parent, sites["cell_type"].nunique()),
        reader,
        labelled,
        validation,
        optimization=optimization,
        augment=AugmentSettings(**job.settings["augment"]),
        seed=seed,
        state_dir=snakemake.params.state,
        history_path=snakemake.output.history,
        unlabelled=unlabelled,
        mean_teacher=finetuning.mean_teacher,
        epochs_factor=finetuning.epochs_factor.get(cell_type, 1.0),
        pseudo_labels=PseudoLabelLoss(**job.settings["pseudo_labels"]),
    )
    if leads():
        save_weights(result.student, snakemake.output.student)
        save_weights(result.teacher, snakemake.output.teacher)
        write_table(rows, snakemake.output.rows)
        job.after_receipt(clear_state, snakemake.params.state)
