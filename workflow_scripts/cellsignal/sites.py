"""The site table: one row per imaging site, the same for every screen, and the checks it must pass.

| column | type | meaning |
|---|---|---|
| `site_id` | str | `{well_id}_{site}`, unique; the table is sorted by it |
| `well_id` | str | `{plate_id}_{well}`, Kaggle's `id_code` |
| `experiment`, `plate` | str | batch, and plate within it |
| `plate_id` | str | names the plate in the whole screen, and its store |
| `well`, `row`, `column` | str, int, int | position on the plate, counted from 0; −1, −1 where it has none |
| `site` | int | field of view within the well |
| `cell_type`, `dataset` | str | `dataset` is `train` or `test` |
| `well_type` | str | `treatment`, `positive_control` or `negative_control` |
| `sirna` | int | class index; −1 where withheld: every test treatment well |
| `images` | list[str] | paths below the screen's root, in channel order; one for a multi-channel file |

`answers` (well_id, sirna) holds the known truth of test treatment wells; `classes` (sirna, name,
well_type) names the class indices 0, 1, ….
"""

import json
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from cellsignal.errors import BadInput, raise_all
from cellsignal.files import atomic, sha256_text

IDENTIFIERS = ["site_id", "well_id", "experiment", "plate", "plate_id", "well", "cell_type"]
COLUMNS = [
    "site_id", "well_id", "experiment", "plate", "plate_id", "well", "row", "column", "site",
    "cell_type", "dataset", "well_type", "sirna", "images",
]  # fmt: skip
NUMBERS = ["row", "column", "site", "sirna"]
WELL_COLUMNS = [c for c in COLUMNS if c not in ("site_id", "site", "images")]
WELL_TYPES = ["treatment", "positive_control", "negative_control"]  # the order of the class indices, too
DATASETS = ["train", "test"]
IDENTIFIER = r"[A-Za-z0-9][A-Za-z0-9._-]*"
IDENTIFIER_RULE = "letters, digits, '.', '_' and '-', a letter or digit first, because it names files"
SHOWN = 30  # values of one kind of problem that a message lists before it only counts


@dataclass(frozen=True)
class Screen:
    """What the raw tables say: `sites`, `answers` and `classes`, as in this module's docstring."""

    sites: pd.DataFrame
    answers: pd.DataFrame
    classes: pd.DataFrame


def site_table(columns: pd.DataFrame, images: list[list[str]]) -> pd.DataFrame:
    """The site table from its columns and the images of each row, sorted by `site_id`.

    `columns` needs every column of the table but `site_id`, `well_id` and `images`.
    """
    well_id = columns["plate_id"] + "_" + columns["well"]
    table = columns.assign(well_id=well_id, site_id=well_id + "_" + columns["site"].astype(str))
    table["images"] = pd.Series(images, index=columns.index, dtype=object)
    text = [c for c in COLUMNS if c not in NUMBERS and c != "images"]
    table = table.astype(dict.fromkeys(text, str) | dict.fromkeys(NUMBERS, np.int64))
    return table[COLUMNS].sort_values("site_id", kind="stable", ignore_index=True)


def answer_table(well_id: Sequence[str] | pd.Series, sirna: Sequence[int] | np.ndarray) -> pd.DataFrame:
    """The answers, one row per well (the wells may repeat), sorted."""
    answers = pd.DataFrame({"well_id": pd.Series(well_id, dtype=str), "sirna": np.asarray(sirna, np.int64)})
    return answers.drop_duplicates().sort_values(["well_id", "sirna"], ignore_index=True)


def positions(wells: pd.Series, rows: int, columns: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Row and column, counted from 0, of wells named like `B02` (`AF48` is the last of 1,536).

    Returns int64 rows and columns (−1 where the name is no position), and bool: on a plate of
    `rows` × `columns`.
    """
    codes, names = pd.factorize(wells)
    row, column = np.array([_position(name) for name in names], dtype=np.int64).reshape(-1, 2)[codes].T
    return row, column, (row >= 0) & (row < rows) & (column >= 0) & (column < columns)


def _position(well: str) -> tuple[int, int]:
    match = re.fullmatch("(A?)([A-Z])([0-9]{1,2})", well)
    if match is None or (match[1] and match[2] > "F"):
        return -1, -1
    return 26 * len(match[1]) + ord(match[2]) - ord("A"), int(match[3]) - 1


def plate_span(rows: int, columns: int) -> str:
    """First and last well of a plate, in words: `A01 to P24`."""
    last = chr(64 + rows) if rows <= 26 else f"A{chr(64 + rows - 26)}"
    return f"A01 to {last}{columns:02d}"


def listed(values: Sequence[object], shown: int = 5) -> str:
    """`values` in words, the first few of them and how many more."""
    words = ", ".join(str(v) for v in values[:shown])
    return words + (f" and {len(values) - shown} more" if len(values) > shown else "")


def path_problem(path: str) -> str | None:
    """Why `path` cannot be an image below the screen's root, or None. Links are not followed."""
    if not path or path.endswith("/"):
        return "names no file"
    if "\0" in path:
        return "holds a NUL character"
    if path.startswith("/"):
        return "is absolute, not relative to the screen's root"
    if ".." in path.split("/"):
        return "leaves the screen's root ('..')"
    return None


def _plain(paths: list[str]) -> bool:
    """True if no path can have a `path_problem`, and none repeats: quick for RxRx1's 753,060."""
    text = "\n".join(["", *paths, ""])
    return len(set(paths)) == len(paths) and not any(c in text for c in ("..", "\0", "\n/", "/\n", "\n\n"))


def validate_sites(sites: pd.DataFrame, classes: pd.DataFrame, source: str | Path) -> None:
    """Raise `BadInput` with everything that is wrong with a site table. `source` names where it is from."""
    missing = [c for c in COLUMNS if c not in sites.columns]
    if missing:
        raise BadInput([f"{source}: column {c} is missing; a site table has {', '.join(COLUMNS)}" for c in missing])
    if sites.empty:
        raise BadInput(f"{source}: no sites; expected at least one row")
    problems = _identifier_problems(sites)
    for key, choices in (("dataset", DATASETS), ("well_type", WELL_TYPES)):
        bad = sites[~sites[key].isin(choices)]
        problems += _each(bad, key, f"expected {' or '.join(choices)}")
    problems += _class_problems(sites, classes)
    problems += _image_problems(sites)
    problems += _control_problems(sites)
    raise_all([f"{source}: {p}" for p in problems], "site table")


def _each(rows: pd.DataFrame, key: str, expected: str) -> list[str]:
    """One sentence per distinct value of `key` in the bad `rows`."""
    groups = rows.groupby(key, sort=True, dropna=False)["site_id"].agg(list)
    lines = [f"{key} {value!r} of site {listed(ids)}: {expected}" for value, ids in groups.iloc[:SHOWN].items()]
    return lines + ([f"{len(groups) - SHOWN} more values of {key} with this fault"] if len(groups) > SHOWN else [])


def _identifier_problems(sites: pd.DataFrame) -> list[str]:
    problems = []
    for key in IDENTIFIERS:
        problems += _each(sites[~sites[key].str.fullmatch(IDENTIFIER)], key, f"expected {IDENTIFIER_RULE}")
    repeated = sites["site_id"].duplicated(keep="first")
    counts = sites.loc[sites["site_id"].isin(sites.loc[repeated, "site_id"]), "site_id"].value_counts(sort=False)
    problems += [f"site {site} has {n} rows; expected one" for site, n in counts.items()]
    if not sites["site_id"].is_monotonic_increasing:
        problems.append("rows are not sorted by site_id")
    for key, of in (
        ("plate_id", ["experiment", "plate"]),
        ("well_id", ["plate_id", "well", "row", "column", "cell_type", "dataset", "well_type", "sirna"]),
    ):
        groups = sites[[key, *of]].drop_duplicates()
        for value in groups.loc[groups[key].duplicated(), key].unique()[:SHOWN]:
            rows = groups[groups[key] == value]
            for column in (c for c in of if len(set(rows[c])) > 1):
                found = listed(sorted(rows[column].unique()))
                problems.append(f"{key} {value}: its sites have {column} {found}; expected one and the same")
    return problems


def _class_problems(sites: pd.DataFrame, classes: pd.DataFrame) -> list[str]:
    n = len(classes)
    if sorted(classes["sirna"]) != list(range(n)):
        return [f"classes are numbered {listed(sorted(classes['sirna']))}; expected 0 to {n - 1}, each once"]
    problems = [
        f"class name {name!r} is given to several classes; expected names that differ"
        for name in classes.loc[classes["name"].duplicated(), "name"].unique()
    ]
    index = sites["sirna"].to_numpy()
    outside = (index < -1) | (index >= n)
    problems += _each(sites[outside], "sirna", f"expected 0 to {n - 1}, or -1 where withheld")
    hidden = ((sites["dataset"] == "test") & (sites["well_type"] == "treatment")).to_numpy()
    leaked = sites[hidden & (index != -1)]
    if len(leaked):
        ids = listed(list(leaked["site_id"]))
        problems.append(f"test treatment site {ids} carries its label; expected -1, and labels in the answers only")
    unknown = sites[~hidden & (index == -1)]
    problems += _each(unknown, "sirna", "expected a class: only test treatment wells may be without one")
    type_of = classes.set_index("sirna")["well_type"].reindex(range(n)).to_numpy()
    known = ~outside & (index >= 0)
    differs = known.copy()
    differs[known] = type_of[index[known]] != sites["well_type"].to_numpy()[known]
    if differs.any():
        ids = listed(list(sites.loc[differs, "site_id"]))
        problems.append(f"site {ids}: the well_type is not that of its class")
    return problems


def _image_problems(sites: pd.DataFrame) -> list[str]:
    problems = []
    counts = sites["images"].map(len)
    if len(set(counts)) > 1 or counts.iloc[0] == 0:
        usual = counts[counts > 0].mode()
        expected = int(usual.iloc[0]) if len(usual) else "at least one"
        bad = sites["site_id"][counts != expected]
        problems.append(f"site {listed(list(bad))}: another number of images than {expected}")
    if _plain(list(chain.from_iterable(sites["images"]))):
        return problems
    owner: dict[str, str] = {}
    for site, images in zip(sites["site_id"], sites["images"], strict=True):
        for image in images:
            if fault := path_problem(image):
                problems.append(f"site {site}: image {image!r} {fault}")
            elif owner.setdefault(image, site) != site:
                problems.append(f"image {image} belongs to sites {owner[image]} and {site}; expected one")
    return problems


def _control_problems(sites: pd.DataFrame) -> list[str]:
    """Test experiments without controls, in a screen that has controls."""
    control = sites["well_type"].isin(WELL_TYPES[1:])
    if not control.any():
        return []
    with_controls = set(sites.loc[control, "experiment"])
    without = sorted(set(sites.loc[sites["dataset"] == "test", "experiment"]) - with_controls)
    return [
        f"test experiment {e} has no control wells; expected some, as the screen's other experiments have"
        for e in without
    ]


def plate_rows(sites: pd.DataFrame, plate_id: str) -> pd.DataFrame:
    """The rows of one plate, in the table's order. Raises `BadInput` if the plate is not in the screen."""
    rows = sites[sites["plate_id"] == plate_id].reset_index(drop=True)
    if rows.empty:
        known = listed(sorted(sites["plate_id"].unique()))
        raise BadInput(f"site table: no plate {plate_id}; expected one of {known}")
    return rows


def rows_digest(rows: pd.DataFrame) -> str:
    """SHA-256 of the rows' canonical JSON: changes with any value in them, and with nothing else."""
    content = {column: rows[column].tolist() for column in sorted(rows.columns)}
    return sha256_text(json.dumps(content, sort_keys=True, ensure_ascii=False, allow_nan=False))


def class_numbers(classes: pd.DataFrame, named: Sequence[str], key: str) -> list[int]:
    """Class indices of names that a setting `key` gives. Raises `BadInput` if the class table lacks one."""
    number = dict(zip(classes["name"], classes["sirna"].astype(int), strict=True))
    if missing := [name for name in named if name not in number]:
        raise BadInput(f"{key}: no class {', '.join(missing)}; expected names such as {', '.join(list(number)[:5])}")
    return [number[name] for name in named]


def well_table(sites: pd.DataFrame) -> pd.DataFrame:
    """One row per well, sorted by `well_id`: the site table's columns that belong to the well."""
    return sites[WELL_COLUMNS].drop_duplicates("well_id").sort_values("well_id", ignore_index=True)


def write_table(table: pd.DataFrame, path: str | Path) -> None:
    """Write a table (sites, answers, classes or any other) as Parquet, atomically.

    Equal tables give equal bytes: the index, and pandas' own metadata, are left out.
    """
    arrow = pa.Table.from_pandas(table, preserve_index=False).replace_schema_metadata(None)
    with atomic(path) as temporary:
        pq.write_table(arrow, temporary, compression="zstd")


def read_table(path: str | Path, plate_id: str | None = None, without: Collection[str] = ()) -> pd.DataFrame:
    """A table written by `write_table`; list columns hold Python lists.

    With `plate_id`, the rows of that plate only. `without` some columns: the paths of RxRx1's images take a second.
    """
    try:
        columns = [name for name in pq.read_schema(path).names if name not in without]
        arrow = pq.read_table(path, columns=columns, filters=plate_id and [("plate_id", "==", plate_id)])
    except (pa.ArrowInvalid, FileNotFoundError) as error:
        raise BadInput(f"{path}: {error}; expected a Parquet table") from error
    table: pd.DataFrame = arrow.to_pandas()
    for field in arrow.schema:
        if pa.types.is_list(field.type) or pa.types.is_large_list(field.type):
            table[field.name] = table[field.name].map(np.ndarray.tolist)
    return table
