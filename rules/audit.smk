# The audit: what made the submission, is it intact, is it current, did anything leak?
#
# Requires: the receipts of everything.
# Makes:    results/{screen}/{recipe}/audit.json; `snakemake audit` verifies again and prints the verdict.

# What is audited: the submission, or the scores of a screen that has nothing to submit.
AUDITED = [recipe("submission.csv")] if SUMMARY.test_cell_types else []
AUDITED += [recipe("scores.json")]


rule audit_verdict:
    input:
        stage=stage(recipe, "audit", {}),
        receipts=[*map(receipt, AUDITED), *map(receipt, FIGURES)],
    output:
        verdict=report(
            recipe("audit.json"),
            caption="captions/audit.rst",
            category=AUDIT,
            labels={"figure": "audit", "as": "page"},
        ),
    log:
        recipe("logs/audit_verdict.log"),
    benchmark:
        recipe("benchmarks/audit_verdict.tsv")
    threads: 2
    resources:
        mem_mb=grown(NEEDS.audit_mb),
        runtime=grown(NEEDS.audit_minutes),
    params:
        root=str(ROOT),
        artefacts=AUDITED,
    message:
        "Auditing: rehashing everything behind the submission"
    script:
        "../workflow_scripts/audit.py"


rule audit:
    localrule: True
    threads: 2
    resources:
        mem_mb=grown(NEEDS.audit_mb),
        runtime=grown(NEEDS.audit_minutes),
    params:
        root=str(ROOT),
        artefacts=AUDITED,
    message:
        f"Auditing again: {', '.join(AUDITED)}"
    script:
        "../workflow_scripts/audit.py"


# `snakemake crate`: only what passed the audit is exported.
rule crate:
    input:
        stage=stage(recipe, "crate", {}),
        verdict=recipe("audit.json"),
        artefact=ancient(AUDITED[0]),
        receipts=[*map(receipt, AUDITED), *map(receipt, FIGURES)],
    output:
        crate=directory(recipe("crate")),
    log:
        recipe("logs/crate.log"),
    benchmark:
        recipe("benchmarks/crate.tsv")
    threads: 1
    resources:
        mem_mb=grown(NEEDS.audit_mb),
        runtime=grown(60),
    params:
        root=str(ROOT),
    message:
        "Exporting {input.artefact} and what made it as an RO-Crate"
    script:
        "../workflow_scripts/crate.py"
