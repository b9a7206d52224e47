"""What reruns in the tiny recipe, by rule: counted by hand from the rules, not from what Snakemake says."""

Jobs = dict[str, int]

END = {"audit_verdict": 1, "all": 1}
PAGE = {"overview": 1} | END  # it shows every figure
SCORED = {
    "score": 1,
    "score_ladder": 1,
    "averaging": 1,
    "accuracy_breakdown": 1,
    "confusion": 1,
    "control_certainty": 1,
    "plate_map": 1,
    "nearest_neighbours": 1,
} | PAGE
SUBMITTED = {"balance_plates": 1, "submission": 1, "provenance_graph": 1} | SCORED
LAST_ROUND = {
    "finetune_cell_type": 2,  # 1 model × 2 folds
    "predict": 2,
    "ensemble_teachers": 1,
    "training_curves": 1,
    "plate_effect": 1,
    "embed_tsne": 1,
    "tsne_classes": 1,
    "template_map": 1,
    "kernel_bands": 1,
    "explain_sites": 1,
    "grad_cam": 1,
    "channel_attention": 1,
} | SUBMITTED
RELABELLED = {"pseudo_labels": 1} | LAST_ROUND
FINETUNED = RELABELLED | {"finetune_cell_type": 4, "predict": 4, "ensemble_teachers": 2}  # × 2 rounds
PREDICTED = RELABELLED | {"predict": 6, "ensemble_teachers": 3}  # and the reference
TRAINED = PREDICTED | {"train_model": 4, "finetune_cell_type": 4}  # 2 models × 2 folds
FIGURES = {
    "samples_per_class", "image_means", "normalization_effect", "site_images", "training_curves", "score_ladder",
    "averaging", "accuracy_breakdown", "confusion", "control_certainty", "plate_map", "plate_effect", "embed_tsne",
    "template_map", "nearest_neighbours", "kernel_bands", "grad_cam", "channel_attention", "provenance_graph",
    "overview", "class_examples", "channel_variance", "plate_layout", "augmentation_examples", "layer_table",
    "tsne_classes",
}  # fmt: skip
DRAWN = dict.fromkeys(FIGURES, 1) | END
NORMALIZED = TRAINED | {
    "normalization": 1,
    "normalization_effect": 1,
    "image_means": 1,
    "channel_variance": 1,
    "augmentation_examples": 1,
}
PACKED = NORMALIZED | {"pack_plate": 12, "site_images": 1, "class_examples": 1}
INDEXED = NORMALIZED | {  # no plate is packed again
    "index_sites": 1,
    "assign_folds": 1,
    "site_images": 1,
    "class_examples": 1,
    "samples_per_class": 1,
    "plate_layout": 1,
}
SIMULATED = INDEXED | {"pack_plate": 12, "simulate_plate": 12}
EVERYTHING = SIMULATED | {"layer_table": 1}  # which looks at no image
