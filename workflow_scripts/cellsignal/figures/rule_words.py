"""What each rule does, for readers who have never run the workflow: a title, and a sentence in the past."""

WORDS = {
    "simulate_plate": (
        "Simulate the plates",
        "Drew the images of one plate of a simulated screen, and wrote its table.",
    ),
    "index_sites": (
        "List the sites",
        "Listed every imaging site with its plate, well and cell type. Known answers of test wells went to a file "
        "that only scoring reads.",
    ),
    "pack_plate": (
        "Pack the images",
        "Read each raw image of a plate once, noted its fingerprint, and wrote all pixels into one store.",
    ),
    "normalization": (
        "Measure brightness",
        "Computed mean and spread of every channel by plate, experiment, cell type and site, to even out batches.",
    ),
    "assign_folds": (
        "Split into folds",
        "Divided the training experiments into parts that are held out in turn. Never single wells.",
    ),
    "train_model": (
        "Train the models",
        "Trained a network to tell the perturbations apart, without the experiments of one fold.",
    ),
    "finetune_cell_type": (
        "Adapt to each cell type",
        "Trained a network further on one cell type; in later rounds also on test wells that the round before "
        "was sure of.",
    ),
    "predict": (
        "Predict",
        "Asked each network how likely every perturbation is, for test sites and for those that its fold held out.",
    ),
    "ensemble_teachers": (
        "Average the models",
        "Averaged the predictions of all networks: one probability for every well and perturbation.",
    ),
    "pseudo_labels": (
        "Pick the sure wells",
        "Gave test wells a perturbation, by the average and what the recipe knows of the layout; the surest teach "
        "the next round.",
    ),
    "balance_plates": (
        "Decide with the layout",
        "Gave every test well one perturbation, using as much of the plate layout as the recipe allows.",
    ),
    "submission": ("Write the submission", "Wrote one row per test well: its name and its perturbation."),
    "score": (
        "Score",
        "Compared the calls with the known answers. The only step that reads them.",
    ),
    "raw data": (
        "Raw data",
        "Images and tables as they were given to the workflow. Each has its SHA-256 in a receipt.",
    ),
}


def words(rule: str) -> tuple[str, str]:
    """(title, sentence) of a rule; of one that is not listed, its name."""
    return WORDS.get(rule, (rule.replace("_", " ").capitalize(), ""))
