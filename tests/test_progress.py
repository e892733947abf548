"""Progress: one line that is renewed in a notebook, a bar on stderr in a terminal, and epochs counted from logs."""

import time
import types

import pytest

from repro import follow, make, progress
from repro.papers import imrs
from repro.parameters import Parameters


@pytest.fixture
def shown(monkeypatch):
    """As in a kernel; what each output of the cell shows, one list of lines per output."""
    import IPython
    import IPython.display

    outputs = []

    def display(data, raw, display_id):
        outputs.append([data["text/plain"]])
        return types.SimpleNamespace(update=lambda data, raw: outputs[-1].append(data["text/plain"]))

    monkeypatch.setattr(IPython, "get_ipython", lambda: types.SimpleNamespace(kernel=True))
    monkeypatch.setattr(IPython.display, "display", display)
    monkeypatch.delenv("REPRO_PROGRESS", raising=False)
    return outputs


def test_a_notebook_shows_one_line_that_is_renewed_and_nothing_red(shown, capsys):
    assert list(progress.bar("measuring", 3, "clip", iter("abc"))) == ["a", "b", "c"]
    progress.say("a line for logs")
    (lines,) = shown
    assert lines[0].startswith("measuring:   0%|")
    assert "| 3/3 [" in lines[-1]
    assert lines[-1].endswith("clip/s]")
    assert list(progress.bar("measuring", 0, "clip", [])) == []
    assert len(shown) == 1  # of no work, no line
    assert capsys.readouterr() == ("", "")


def test_the_command_line_gets_lines_from_its_kernels(shown, capsys, monkeypatch):
    monkeypatch.setenv("REPRO_PROGRESS", "text")
    progress.say("1 of 3 runs: a")
    assert list(progress.bar("measuring", 2, "clip", "ab")) == ["a", "b"]
    assert shown == []
    assert capsys.readouterr().err == "1 of 3 runs: a\n"  # a log gets no bar


def test_a_bar_follows_what_others_do(shown):
    bar = progress.bar("training", 5, "epoch")
    with bar, progress.following(bar, lambda: 4):
        bar.set_postfix_str("1 of 2 runs done", refresh=False)
        end = time.monotonic() + 20
        while (
            "| 4/5 [00:01" not in shown[0][-1] and time.monotonic() < end
        ):  # the time goes on, though nothing else does
            time.sleep(0.05)
    assert "| 4/5 [" in shown[0][-1]
    assert time.monotonic() < end
    assert "1 of 2 runs done" in shown[0][-1]


def test_epochs_are_counted_from_what_a_run_logs_now(home):
    runs = [imrs.single(Parameters(profile="smoke"), 1, seed) for seed in (0, 1)]
    logs = [make.log_path(run) for run in runs]
    logs[0].parent.mkdir(parents=True)
    logs[0].write_text("x epoch 1, lr 0.1\nx epoch 2, lr 0.1\n")  # an earlier call's
    before = follow.logged(runs)
    assert follow.epochs(runs, before) == 0
    with open(logs[0], "a") as log:
        log.write("x: goes on after epoch 2 of 9\n")
    assert follow.epochs(runs, before) == 2
    logs[1].parent.mkdir()
    logs[1].write_text("y epoch 1, lr 0.1, loss 1\n")
    assert follow.epochs(runs, before) == 3
