"""`python validate_crate.py FOLDER SEVERITY CACHE`: what roc-validator finds, as a JSON list of sentences.

No network is needed: the validator is given the JSON-LD context that it would fetch. A process of its own,
because the validator changes logging and rdflib for the process that it runs in.
"""

import importlib.resources
import json
import sys
from typing import Any

from rocrate_validator import services
from rocrate_validator.utils.http import HttpRequester

CONTEXT = "https://w3id.org/ro/crate/1.1/context"
IN_VERSION_1_1 = {
    "ComputationalWorkflow": "https://bioschemas.org/ComputationalWorkflow",
    "FormalParameter": "https://bioschemas.org/FormalParameter",
    "input": "https://bioschemas.org/ComputationalWorkflow#input",
    "output": "https://bioschemas.org/ComputationalWorkflow#output",
}
"""Terms that RO-Crate 1.3's context, which the package `rocrate` brings, gives other addresses."""


class Answer:
    """To a request for the context."""

    status_code, headers = 200, {"Content-Type": "application/ld+json"}

    def json(self) -> dict[str, Any]:
        bundled = json.loads(importlib.resources.files("rocrate").joinpath("data/ro-crate.jsonld").read_text("utf-8"))
        terms = {name: address for name, address in bundled["@context"].items() if name != "sha256"}
        return {"@context": terms | IN_VERSION_1_1}


def get(self: HttpRequester, url: str, **options: Any) -> Answer:
    """Instead of a request."""
    assert url == CONTEXT, f"the validator asks for {url}"
    return Answer()


if __name__ == "__main__":
    HttpRequester.get = get  # type: ignore[method-assign]
    folder, severity, cache = sys.argv[1:]
    result = services.validate(
        {
            "rocrate_uri": folder,
            "profile_identifier": "provenance-run-crate",
            "requirement_severity": severity,
            "cache_path": cache,
        }
    )
    print(json.dumps([issue.message or issue.check.identifier for issue in result.get_issues()]))
