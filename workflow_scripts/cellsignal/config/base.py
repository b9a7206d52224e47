"""What every section of the configuration has in common."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A section: unknown keys are errors, and values must already have their type.

    Strict types catch YAML's traps: `3e-4` arrives as a string (YAML 1.1 wants `3.0e-4`), `yes` as a
    boolean. An integer is accepted where a float is expected.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)
