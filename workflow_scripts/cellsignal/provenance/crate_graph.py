"""The entities of a crate: what ran, on what, with what, and what came of it.

Profiles: https://w3id.org/ro/wfrun/provenance/0.5 and those below it, on RO-Crate 1.1. The workflow run is
one `CreateAction`, every receipt another; a rule is a `HowToStep` whose tool is the rule's script.
"""

import base64
from collections.abc import Iterable
from io import StringIO
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

from rocrate.model.contextentity import ContextEntity
from rocrate.rocrate import ROCrate

from cellsignal.files import sha256_file, sha256_text
from cellsignal.provenance.crate_facts import (
    SOFTWARE_LICENCE,
    Material,
    code_version,
    compact,
    data_licence,
    docstring,
    end,
    file_format,
    modified,
    package_page,
    readme,
    rules_in_order,
    times,
    unpacked,
    words,
)
from cellsignal.provenance.receipts import Receipt

METADATA = "ro-crate-metadata.json"
PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.5": ("Process Run Crate", "0.5"),
    "https://w3id.org/ro/wfrun/workflow/0.5": ("Workflow Run Crate", "0.5"),
    "https://w3id.org/ro/wfrun/provenance/0.5": ("Provenance Run Crate", "0.5"),
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0": ("Workflow RO-Crate", "1.0"),
}
TERMS = {"sha256": "https://w3id.org/ro/terms/workflow-run#sha256"}  # RO-Crate 1.1 has no term for it


def describe(material: Material) -> ROCrate:
    """The crate, not yet written. Identifiers follow from paths and hashes, so that it is always the same."""
    return _Graph(material).crate


class _Graph:
    def __init__(self, material: Material) -> None:
        self.material = material
        self.crate = ROCrate(version="1.1")
        self.crate.metadata.extra_terms.update(TERMS)
        self.entities: dict[str, Any] = {}  # path of an artefact or receipt → its entity
        self.by_content: dict[str, Any] = {}  # SHA-256 → the file in the crate
        self.actions: list[Any] = []
        self.collections: dict[str, Any] = {}
        self._add_files()
        self._add_referenced()
        self._add_workflow()
        self._add_steps()
        self._add_runs()
        self._add_whole_run()
        self._add_root()

    def add(self, identifier: str, kind: str | list[str], **properties: Any) -> Any:
        """A contextual entity, once for each identifier."""
        if (known := self.crate.get(identifier)) is not None:
            return known
        return self.crate.add(ContextEntity(self.crate, identifier, {"@type": kind, **compact(properties)}))

    def _add_files(self) -> None:
        licence = self.add(
            SOFTWARE_LICENCE[0], "CreativeWork", name=SOFTWARE_LICENCE[1], description=SOFTWARE_LICENCE[2]
        )
        for path, source in sorted(self.material.files.items()):
            properties = {
                "name": path,
                "encodingFormat": file_format(path),
                "contentSize": str(len(source.encode()) if isinstance(source, str) else source.stat().st_size),
                "sha256": sha256_text(source) if isinstance(source, str) else sha256_file(source),
            }
            if not path.startswith("results/"):
                properties["license"] = licence
            if path == "Snakefile":
                add, more = self.crate.add_workflow, {"main": True, "lang": "snakemake", "lang_version": self._pin()}
            else:
                add, more = self.crate.add_file, {}
            content = StringIO(source) if isinstance(source, str) else source
            added = add(content, path, properties=properties, **more)
            self.entities[path.removeprefix("results/")] = added
            self.by_content.setdefault(str(properties["sha256"]), added)
        about = {"name": "README.md", "encodingFormat": "text/markdown", "about": self.crate.root_dataset}
        self.crate.add_file(StringIO(readme(self.material)), "README.md", properties=about)

    def _pin(self) -> str | None:
        """The version of Snakemake that the environment pins."""
        source = self.material.files.get("envs/requirements.txt")
        lines = source.read_text(encoding="utf-8").splitlines() if isinstance(source, Path) else []
        return next((line.split("==")[1].split()[0] for line in lines if line.startswith("snakemake==")), None)

    def _add_referenced(self) -> None:
        """Artefacts that are not copied, by hash; images as one collection per job."""
        images = set().union(*self.material.images.values()) if self.material.images else set()
        for name, made in sorted(self.material.referenced.items()):
            if name not in images:
                self.entities[name] = self._reference(name, made.sha256, made.bytes)

    def _reference(self, name: str, sha256: str, size: int | None) -> Any:
        """A file that need not be in the crate, named by its content (RFC 6920). Equal bytes are one entity."""
        if sha256 in self.by_content:
            return self.by_content[sha256]
        identifier = f"ni:///sha-256;{base64.urlsafe_b64encode(bytes.fromhex(sha256)).decode().rstrip('=')}"
        known = self.crate.get(identifier)
        if known is not None:
            known["name"] = ", ".join(sorted({*known["name"].split(", "), name}))
            return known
        properties = {"name": name, "encodingFormat": file_format(name), "sha256": sha256, "contentSize": size}
        properties["description"] = "Not in this crate: kept with the project, identified by its SHA-256."
        return self.crate.add_file(identifier, properties=compact(properties))

    def _collection(self, hashes: Iterable[str], sizes: Iterable[int | None], receipt: Receipt) -> Any:
        """The images that a job read or made, as one entity that is named after all their hashes."""
        ordered, known = sorted(hashes), list(sizes)
        digest = sha256_text("".join(f"{sha256}\n" for sha256 in ordered))
        identifier = f"#images/{digest[:32]}"
        where = f"results/{receipt.path}"
        entity = self.collections[identifier] = self.add(
            identifier,
            "Collection",
            name=f"{len(ordered):,} images",
            description="Not in this crate: kept with the project. The receipt lists the SHA-256 of each image; "
            "this entity's is that of those hashes, sorted, one per line.",
            sha256=digest,
            subjectOf=self.crate.get(quote(where)),
        )
        if known and None not in known:
            entity["contentSize"] = str(sum(size for size in known if size is not None))
        return entity

    def _add_workflow(self) -> None:
        """The Snakefile, its version, and the environment that the receipts record."""
        workflow = self.workflow = self.crate.mainEntity
        workflow._jsonld["@type"] = [*workflow._jsonld["@type"], "HowTo"]
        workflow["name"] = "cellsignal"
        workflow["version"] = self.version = code_version(self.material)
        workflow["conformsTo"] = {"@id": "https://bioschemas.org/profiles/ComputationalWorkflow/1.0-RELEASE"}
        changed = self.material.changed
        workflow["description"] = (
            "The code in this crate is the code that ran: it has the digests that the receipts hold."
            if not changed
            else f"The code in this crate is not quite the code that ran: {'; '.join(changed)}."
        )
        self.packages = {
            (name, version): self.add(
                package_page(name, version),
                "SoftwareApplication",
                name=name,
                softwareVersion=version,
                url=package_page(name, version),
            )
            for name, version in sorted(
                {pair for receipt in self.material.receipts.values() for pair in receipt.packages.items()}
            )
        }

    def _add_steps(self) -> None:
        """A step and a tool per rule, in the order in which they can run."""
        self.tools, self.steps = {}, {}
        for position, rule in enumerate(rules_in_order(self.material.receipts)):
            path = f"{self.material.library}/{rule}.py"
            tool = self.entities.get(path) or self.add(f"#tool/{quote(rule)}", "SoftwareSourceCode", name=rule)
            if "SoftwareSourceCode" not in tool.type:
                tool._jsonld["@type"] = ["File", "SoftwareSourceCode"]
            packages = {
                pair for made in self.material.receipts.values() if made.rule == rule for pair in made.packages.items()
            }
            tool["description"] = docstring(self.material.files.get(path)) or rule
            tool["version"] = self.version
            if packages:
                tool["softwareRequirements"] = unpacked([self.packages[pair] for pair in sorted(packages)])
            self.tools[rule] = tool
            self.steps[rule] = self.add(
                f"#step/{quote(rule)}", "HowToStep", name=rule, position=str(position), workExample=tool
            )
        self.workflow["hasPart"] = unpacked([self.tools[rule] for rule in self.steps])
        self.workflow["step"] = unpacked(list(self.steps.values()))

    def _add_runs(self) -> None:
        """Two actions per receipt: the job, and that the workflow had it run."""
        controls = []
        for path, receipt in self.material.receipts.items():
            name = " ".join([receipt.rule, *(f"{key}={value}" for key, value in receipt.wildcards.items())])
            action = self.add(
                f"#run/{quote(path)}",
                "CreateAction",
                name=name,
                description=words(receipt, self.material.records.get(path, {})),
                instrument=self.tools[receipt.rule],
                object=self._read_by(receipt),
                result=self._made_by(receipt),
                actionStatus="http://schema.org/CompletedActionStatus",
                **times([self.material.records[path]] if path in self.material.records else []),
            )
            self.actions.append(action)
            step = self.steps[receipt.rule]
            controls.append(
                self.add(f"#control/{quote(path)}", "ControlAction", name=name, instrument=step, object=action)
            )
        self.controls = controls

    def _read_by(self, receipt: Receipt) -> list[Any]:
        """Stage file, artefacts and raw files; images as collections."""
        read = [self.entities[receipt.stage["path"]]]
        read += [self.entities[name] for name in receipt.reads if name in self.entities]
        raw = receipt.raw
        images = {name for name in raw if file_format(name).startswith("image/")}
        sizes = self.material.raw_bytes
        if images:
            read.append(self._collection((raw[name] for name in images), map(sizes.get, sorted(images)), receipt))
        read += [self._reference(name, raw[name], sizes.get(name)) for name in sorted(raw.keys() - images)]
        return read

    def _made_by(self, receipt: Receipt) -> list[Any]:
        images = self.material.images.get(receipt.path, set())
        made = [self.entities[name] for name in receipt.outputs if name not in images]
        if images:
            outputs = [receipt.outputs[name] for name in sorted(images)]
            made.append(self._collection((o.sha256 for o in outputs), (o.bytes for o in outputs), receipt))
        return [*made, self.entities[receipt.path]]

    def _add_whole_run(self) -> None:
        """The run of the workflow, and of the engine that ran it."""
        made = {entity["@id"] for action in self.actions for entity in _listed(action, "result")}
        plan = [entity for path, entity in self.entities.items() if path.endswith("stages/plan.json")]
        sources = {
            entity["@id"]: entity
            for action in self.actions
            for entity in _listed(action, "object")
            if entity["@id"] not in made and not str(entity["@id"]).startswith("results/")
        }
        products = [self.entities[name] for name in self.material.products]
        when = times(self.material.records.values())
        run = self.add(
            "#run",
            "CreateAction",
            name=f"cellsignal: {self.material.artefact}",
            description="The whole run, from raw images to the result.",
            instrument=self.workflow,
            object=[*plan, *(sources[key] for key in sorted(sources))],
            result=products,
            actionStatus="http://schema.org/CompletedActionStatus",
            **when,
        )
        version = self._pin()
        page = f"https://pypi.org/project/snakemake/{version}/" if version else "https://snakemake.github.io"
        engine = self.add(page, "SoftwareApplication", name="Snakemake", softwareVersion=version, url=page)
        self.add(
            "#engine-run",
            "OrganizeAction",
            name="Run of Snakemake",
            instrument=engine,
            object=self.controls,
            result=run,
            **when,
        )
        self.actions.insert(0, run)
        self._add_parameters(plan, [sources[key] for key in sorted(sources)], products[0])

    def _add_parameters(self, plan: list[Any], sources: list[Any], product: Any) -> None:
        """What a user gives to the workflow, and gets from it."""
        given = []
        if plan:
            given.append(self._parameter("configuration", "File", plan))
        if collections := [entity for entity in sources if entity.type == "Collection"]:
            given.append(self._parameter("raw images", "Collection", collections))
        if given:
            self.workflow["input"] = unpacked(given)
        self.workflow["output"] = self._parameter(PurePosixPath(self.material.artefact).name, "File", [product])

    def _parameter(self, name: str, kind: str, examples: list[Any]) -> Any:
        parameter = self.crate.add_formal_parameter(name, kind, identifier=f"#parameter/{quote(name)}")
        for example in examples:
            example["exampleOfWork"] = parameter
        return parameter

    def _add_root(self) -> None:
        root, material = self.crate.root_dataset, self.material
        data = data_licence(material.plan)
        licences = [self.crate.get(SOFTWARE_LICENCE[0])]
        if data[0] != SOFTWARE_LICENCE[0]:
            licences.append(self.add(data[0], "CreativeWork", name=data[1], description=data[2]))
        for uri, (name, version) in PROFILES.items():
            self.add(uri, "CreativeWork", name=name, version=version)
        root["name"] = f"cellsignal: {material.artefact}"
        root["description"] = (
            f"{material.artefact} and what made it: {len(material.receipts):,} receipts, their settings, the code, "
            f"the environment, scores and figures. SHA-256 of the result's receipt: {material.sha256[material.top]}."
        )
        root["identifier"] = f"sha256:{material.sha256[material.top]}"
        root["datePublished"] = end(material.records.values()) or modified(material)
        root["license"] = unpacked(licences)
        root["conformsTo"] = [self.crate.get(uri) for uri in PROFILES]
        root["mentions"] = [*self.actions, *(self.collections[key] for key in sorted(self.collections))]


def _listed(entity: Any, name: str) -> list[Any]:
    value = entity.get(name, [])
    return value if isinstance(value, list) else [value]
