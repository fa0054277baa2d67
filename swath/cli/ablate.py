"""`swath ablate`: a recipe in several cells, tuned, evaluated and laid side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from swath.cli.console import (
    RUNS,
    Fresh,
    Home,
    Json,
    Tiny,
    bars,
    claimed,
    complain,
    difference_cell,
    emit,
    print_table,
    refuse_unnamed_writer,
    say,
    score_cell,
    warn,
)
from swath.cli.tune import tune_experiment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from swath.ablation import Row
    from swath.grid import Cell, Grid


def ablate(
    recipe: Annotated[
        str, typer.Argument(help="A recipe, `ablations/NAME`, or a YAML file that names cells.")
    ],
    keys: Annotated[
        list[str] | None,
        typer.Argument(help="Keys of one value, for all cells, or of several: key=a,b,c."),
    ] = None,
    home: Home = RUNS,
    tiny: Tiny = False,
    fresh: Fresh = False,
    json: Json = False,
) -> None:
    """Tune and evaluate a recipe in every cell of a grid; print their scores side by side.

    An interrupted grid goes on where it was; a cell that fails does not stop the others.
    """
    from swath.grid import grid_of

    grid = grid_of(recipe, keys or [], home, tiny)  # a typo is answered before torch is loaded
    from swath.ablation import check, results, write_results

    check(grid)
    for cell in grid.cells:
        refuse_unnamed_writer(cell.recipe, keys or [])
    claimed(grid.folder)
    failed = _fill(grid, fresh, quiet=json)
    rows = results(grid)
    table = write_results(grid, rows, failed)
    if json:
        emit(table)
    else:
        _print_rows(rows)
        say("", f"Table:   {grid.folder / 'ablation.json'}")
        say(f"Picture: {grid.folder / 'ablation.svg'}")
    if failed:
        raise typer.Exit(1)


def _fill(grid: Grid, fresh: bool, quiet: bool) -> dict[str, str]:
    """Tune and evaluate the cells that are not finished.

    Returns:
        Cell to what went wrong.
    """
    from swath.ablation import finished
    from swath.errors import SwathError

    failed = {}
    for number, cell in enumerate(grid.cells, 1):
        where = f"cell {number} of {len(grid.cells)}, {cell.name}"
        if finished(cell) and not fresh:
            typer.echo(f"{where}: done", err=True)
            continue
        typer.echo(where, err=True)
        try:
            _finish(grid, cell, fresh, quiet)
        except SwathError as error:
            failed[cell.name] = str(error)
            complain(f"{where}: {error}")
    return failed


def _finish(grid: Grid, cell: Cell, fresh: bool, quiet: bool) -> None:
    """Tune a cell and ask its model the test questions."""
    from swath.ablation import experiment_of

    claimed(cell.folder)
    experiment = experiment_of(grid, cell)
    tune_experiment(experiment, fresh, quiet)
    with bars() as progress:
        experiment.evaluate("tuned", progress("evaluate tuned"))
    warn(experiment.notes)


def _print_rows(rows: Sequence[Row]) -> None:
    """A task's headline metric of each cell, and how it differs from the first cell's."""
    from rich.table import Table

    from swath.ablation import cell_score, headlines

    first = rows[0].cell.name
    table = Table("task", "metric", "cell", "score", "n", f"minus {first}", "seconds")
    for task, metric in headlines(rows):
        for row in rows:
            score, difference = cell_score(row, task, metric)
            count = str(score.n) if score else ""
            cells = [score_cell(score) if score else "not asked", count]
            seconds = f"{row.seconds:.0f}"
            table.add_row(task, metric, row.cell.name, *cells, difference_cell(difference), seconds)
    print_table(table)
    for row in rows:
        if row.note:
            say(f"{row.cell.name}: not compared with {first}: {row.note}")
