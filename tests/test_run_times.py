"""What the runs behind each notebook cost."""

from finished import PROVENANCE, record

from repro import notebooks, paths, records
from repro.config import Run
from repro.parameters import Parameters
from repro.report import run_times


def everything_under(run: Run) -> list[Run]:
    """A run, its start, its teacher, and theirs."""
    under = [each for each in (run.start, run.teacher) if each is not None]
    return [run, *(one for each in under for one in everything_under(each))]


def write(path, run: Run, seconds: float) -> None:
    records.write(record(run, [[1.0, 0.0]], [0], ["a", "b"], provenance={**PROVENANCE, "seconds": seconds}), path)


def costs() -> dict[str, tuple[str, ...]]:
    return {line.cells["notebook"]: tuple(line.cells.values())[1:] for line in run_times.table().lines}


def test_what_the_runs_of_a_notebook_cost(home, monkeypatch, capsys):
    parameters = Parameters()
    runs = [run for plan in notebooks.NOTEBOOKS["ablation_lambda"].tables for run in plan(parameters).runs()]
    planned = str(len({each.id for run in runs for each in everything_under(run)}))
    monkeypatch.setattr(paths, "committed", lambda: home / "committed")
    assert costs()["train"] == ("0", "0", "0.0")
    assert costs()["ablation_lambda"] == (planned, "0", "0.0")
    teacher = next(run.teacher for run in runs if run.teacher is not None)
    write(records.path_here(teacher.id), teacher, 60)
    write(records.path_committed("small", runs[0].id), runs[0], 90)
    assert costs()["ablation_lambda"] == (planned, "2", "2.5")
    assert costs()[notebooks.EVERYTHING][1:] == ("2", "2.5")  # each once
    records.path_here(teacher.id).write_text("{}")
    assert costs()["ablation_lambda"] == (planned, "1", "1.5")
    assert "record.json: not a record" in capsys.readouterr().err


def test_the_command_list_says_what_the_records_say():
    """The committed table, which `list` shows, is the one that the committed records give."""
    assert notebooks.costs() == {
        line.cells["notebook"]: notebooks._cost(line.cells) for line in run_times.table().lines
    }
