"""A plan is pure: every table of every paper is planned without a file, a process, a socket or a heavy import."""

import json
import subprocess
import sys

import pytest

from repro import notebooks
from repro.config import PROFILES
from repro.errors import Unavailable
from repro.papers import imrs, overview, tstam
from repro.papers.table import with_needs
from repro.parameters import Parameters

HEAVY = ("torch", "torchvision", "numpy", "pandas", "cv2", "matplotlib", "papermill", "numba", "lightning_fabric")
OF_SMALL_NETWORKS = (  # on the embedded videos alone
    "controls.curve", "convergence.table", "doses.bias", "doses.distractors", "doses.pan", "doses.action",
)  # fmt: skip
PLAN = """
import json, os, sys, time
from repro import notebooks
from repro.errors import Unavailable
from repro.papers import overview
from repro.papers.table import with_needs
from repro.parameters import Parameters

def refuse(name, *rest, **more):
    raise AssertionError(f"a plan asked for {name} {rest}")

def audit(event, arguments):
    if event == "open" or event.startswith(("os.", "subprocess.", "socket.", "shutil.", "tempfile.", "import")):
        refuse(event, arguments)

for name in ("stat", "lstat", "access", "statvfs"):  # these are not audited
    setattr(os, name, lambda *a, name=name, **k: refuse(f"os.{name}", *a))
sys.addaudithook(audit)
data = ({"dataset": "synthetic"}, {"dataset": "ucf101"}, {"dataset": "ucf101", "data_root": "/no/such/folder"},
        {"dataset": "folder", "data_root": "/no/such/folder", "group": "(?P<group>x)"})
files = {"pretrained_rgb": "/no/such/rgb.pth", "pretrained_flow": "/no/such/flow.pth"}
planned, refused = {}, []
for profile in ("smoke", "small", "gpu", "paper"):
    for given in data:
        start, count = time.process_time(), 0
        for notebook in notebooks.NOTEBOOKS.values():
            for plan in notebook.tables:
                parameters = Parameters(profile=profile, splits=notebook.splits, **given, **files)
                try:
                    runs = plan(parameters).runs()
                except Unavailable:
                    refused.append([profile, given["dataset"], f"{plan.__module__}.{plan.__name__}"])
                    continue
                assert runs and all(run.id for run in runs)
                count += len(runs)
        planned[f"{profile} {given}"] = count, time.process_time() - start
loaded = [name for name in HEAVY if name in sys.modules]
print(json.dumps([planned, refused, loaded]))
"""


@pytest.fixture(scope="module")
def planned():
    """What a fresh process says of its plans: {case: (runs, seconds)}, what was unavailable, heavy modules loaded."""
    script = f"HEAVY = {HEAVY}\n{PLAN}"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_every_plan_of_every_paper_needs_nothing(planned):
    counts, refused, _ = planned
    assert len(counts) == 4 * 4
    assert all(runs > 100 for runs, _ in counts.values()), counts
    small = [f"repro.papers.{name}" for name in OF_SMALL_NETWORKS]
    embedded = ["repro.papers.time_order.table", *small]
    expected = {
        (profile, dataset, plan) for profile in PROFILES for dataset in ("ucf101", "folder") for plan in embedded
    }
    expected |= {(profile, "synthetic", plan) for profile in ("gpu", "paper") for plan in small}
    assert set(map(tuple, refused)) == expected


def test_planning_is_fast(planned):
    for case, (_, seconds) in planned[0].items():
        assert seconds < 0.5, case


def test_planning_loads_nothing_heavy(planned):
    assert planned[2] == []


@pytest.mark.slow
def test_the_refusals_refuse():
    """The audit of these tests would notice a plan that reads a file or looks for one."""
    for bad in ("open('/etc/hostname')", "os.path.exists('/')", "os.listdir('/')", "__import__('torch')"):
        script = f"HEAVY = ()\n{PLAN.partition('data = (')[0]}\n{bad}"
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
        assert "a plan asked for" in done.stderr, bad


def reason(plan, parameters: Parameters) -> str:
    """Why the parameters cannot have a table, or nothing."""
    try:
        plan(parameters)
    except Unavailable as error:
        return str(error)
    return ""


def test_without_the_files_of_a_published_protocol_only_its_own_tables_are_unavailable(home):
    reasons = {
        (profile, f"{plan.__module__.rpartition('.')[2]}.{plan.__name__}"): reason(plan, Parameters(profile=profile))
        for profile in PROFILES
        for notebook in notebooks.NOTEBOOKS.values()
        for plan in notebook.tables
    }
    unavailable = {key: words for key, words in reasons.items() if words}
    papers = {"imrs", "controls", "overview", "tstam", "smnet", "stme", "stmsa", "stddcn", "time_order"}
    lacking_files = {key: words for key, words in unavailable.items() if "pretrained_" in words}
    assert {(profile, name.partition(".")[0]) for profile, name in lacking_files} == {
        ("paper", name) for name in papers
    }
    assert unavailable.keys() - lacking_files.keys() == {
        (profile, name) for profile in ("gpu", "paper") for name in OF_SMALL_NETWORKS
    }
    assert not list(home.iterdir())


def test_the_overview_shows_runs_of_the_other_tables():
    """So on the embedded videos it costs nothing."""
    parameters = Parameters()
    others = {
        run.id
        for n in notebooks.NOTEBOOKS.values()
        for plan in n.tables
        if plan is not overview.table
        for run in with_needs(plan(parameters).runs())
    }
    assert {run.id for run in with_needs(overview.table(parameters).runs())} <= others


def test_the_overview_of_a_folder_leaves_each_group_out_once():
    asked = {"dataset": "folder", "data_root": "clips", "group": "^(?P<group>[a-z]+)_", "folds": "all", "splits": "1,2"}
    table = overview.table(Parameters(**asked, seeds="0"))
    assert [row.label for row in table.rows] == list(overview.ROWS)
    assert {(run.data.folds, run.data.split, run.data.source) for run in table.runs()} == {
        ("all", 1, "clips"), ("all", 2, "clips")
    }  # fmt: skip
    assert {len(row.systems) for row in table.rows} == {2}


def test_every_mean_over_splits_of_t_stam_is_weighted():
    parameters = Parameters(splits=(1, 2, 3))
    plans = (
        tstam.segments, tstam.attention_heads, tstam.fusion_weights, tstam.channel_attention, tstam.systems,
    )  # fmt: skip
    assert all(row.weighted for plan in plans for row in plan(parameters).rows)
    assert not any(row.weighted for row in imrs.streams(parameters).rows)  # its paper: the average of three splits
