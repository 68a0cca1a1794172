"""The columns that ``results_<algo>`` and ``pruned_<algo>`` share, and a result's way there and back.

Parameters are INTEGER columns in whole steps (k = 0.7 is stored 7), named as the space
names them and UNIQUE together: a parameter set is tested once. Sums are exact
micro-percent; means are percent, stored beside them for a person who looks.
"""

from __future__ import annotations

from engine.database import Database, Row, marks
from engine.errors import StorageError
from engine.model import DAYS, MICRO
from engine.records import VariationResult
from engine.spaces import ParameterSpace

_DAYS = range(1, DAYS + 1)
_MEASURES = (
    *(f"buys_day{d} INTEGER" for d in _DAYS),
    *(f"pp_mean_day{d} REAL" for d in _DAYS),
    *(f"pp_sum_day{d} INTEGER" for d in _DAYS),
    *(f"excess_mean_day{d} REAL" for d in _DAYS),
    *(f"excess_sum_day{d} INTEGER" for d in _DAYS),
    "buys INTEGER",
    "pp_sum INTEGER",
    "pp_mean REAL",
    "excess_sum INTEGER",
    "excess_mean REAL",
    "overlap_max REAL",
    "overlap_mean REAL",
    "score REAL",
    "score_mean REAL",
    "score_deviation REAL",
    "score_shortage REAL",
    "picks BLOB",
)
_FIXED = ("cycle", "slot", "rank", "reasons", *(m.split()[0] for m in _MEASURES))


def _quoted(space: ParameterSpace) -> list[str]:
    """The parameter columns; ValueError for a name that cannot be one."""
    if not space.algorithm.isidentifier():
        raise ValueError(f"'{space.algorithm}' cannot name a table")
    for name in space.names:
        if not name.isidentifier() or name.lower() in _FIXED:
            raise ValueError(f"parameter '{name}' of {space.algorithm} cannot be a column: rename it")
    return [f'"{name}"' for name in space.names]


def create_statement(table: str, space: ParameterSpace, *, before: str = "", after: str = "") -> str:
    """CREATE TABLE IF NOT EXISTS, with more columns ``before`` ("rank INTEGER PRIMARY KEY, ") and ``after``."""
    parameters = _quoted(space)
    columns = ["cycle INTEGER NOT NULL", "slot INTEGER NOT NULL", *(f"{p} INTEGER NOT NULL" for p in parameters)]
    columns += [f"{measure} NOT NULL" for measure in _MEASURES]
    unique = f"UNIQUE ({', '.join(parameters)})"
    return f'CREATE TABLE IF NOT EXISTS "{table}" ({before}{", ".join(columns)}{after}, {unique})'


async def check_columns(database: Database, table: str, space: ParameterSpace, extra: int) -> None:
    """StorageError when ``table`` was made for other parameters than ``space`` has now."""
    found = [name for name, _ in await database.columns(table)]
    here = found[extra + 2 : len(found) - len(_MEASURES) - extra]
    if here != list(space.names):
        raise StorageError(
            f"{table} in {database.path} has the parameters {', '.join(here)}, {space.algorithm} now has "
            f"{', '.join(space.names)}; nothing was changed. "
            "Archive and wipe the week with 'tshc weekend --replace'"
        )


def column_list(space: ParameterSpace) -> str:
    return ", ".join(["cycle", "slot", *_quoted(space), *(m.split()[0] for m in _MEASURES)])


def parameter_order(space: ParameterSpace) -> str:
    return ", ".join(_quoted(space))


def insert_statement(table: str, space: ParameterSpace) -> str:
    return f'INSERT INTO "{table}" ({column_list(space)}) VALUES ({marks(2 + len(space.names) + len(_MEASURES))})'


def to_row(result: VariationResult) -> Row:
    buys, pp, excess = sum(result.buys), sum(result.pp_sum), sum(result.excess_sum)
    return (
        result.cycle,
        result.slot,
        *result.values,
        *result.buys,
        *result.pp_means(),
        *result.pp_sum,
        *result.excess_means(),
        *result.excess_sum,
        buys,
        pp,
        pp / buys / MICRO if buys else 0.0,
        excess,
        excess / buys / MICRO if buys else 0.0,
        result.overlap_max,
        result.overlap_mean,
        result.score,
        result.score_mean,
        result.score_deviation,
        result.score_shortage,
        result.picks,
    )


def from_row(space: ParameterSpace, row: Row) -> VariationResult:
    """The inverse of ``to_row`` (means and totals follow from the sums)."""
    cycle, slot = row[:2]
    measures = row[2 + len(space.names) :]
    overlap_max, overlap_mean, score, mean, deviation, shortage, picks = measures[5 * DAYS + 5 :]
    return VariationResult(
        algorithm=space.algorithm,
        cycle=cycle,
        slot=slot,
        values=tuple(row[2 : 2 + len(space.names)]),
        buys=tuple(measures[:DAYS]),
        pp_sum=tuple(measures[2 * DAYS : 3 * DAYS]),
        excess_sum=tuple(measures[4 * DAYS : 5 * DAYS]),
        score=score,
        score_mean=mean,
        score_deviation=deviation,
        score_shortage=shortage,
        overlap_max=overlap_max,
        overlap_mean=overlap_mean,
        picks=picks,
    )
