"""A search of the largest week, 10 x 250 variations, stays under 300 MB, the process it runs in included."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from group_cases import spread

LIMIT_MB = 300

# Every anchor is cut off after its first slice, so that nearly all of them wait with their stacks at
# once: the most that a search ever holds. Then the checkpoint is written, and weeks are shuffled.
# (Interpreter, numpy, numba and the kernels alone take some 155 MB.)
SEARCH = """
import json, re, resource, sys, time
from pathlib import Path
import numpy as np
from engine.decision.evidence_lane import EvidenceLane
from engine.decision.group_search import GroupSearch
from engine.decision.search_kernels import warm_up
from engine.decision.search_state import Checkpoint
from engine.decision.shuffled_weeks import GroupRules, ShuffledWeeks
from engine.decision.variation_pool import VariationPool
from engine.decision.watchdog import Policy
from engine.settings import PrunerSettings

def peak_mb():
    status = Path("/proc/self/status")
    if status.exists():  # Linux counts a parent's memory in ru_maxrss, up to the child's exec
        return int(re.search(r"VmHWM:\\s+(\\d+) kB", status.read_text()).group(1)) / 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)

warm_up(lambda done, total, name: None)
before = peak_mb()
week = np.load(sys.argv[1])
search = GroupSearch(
    week["bits"], week["pp"], week["algorithm"], min_picks=3, max_size=10, top_k=100, threads=4, budget_s=600,
    policy=Policy(1, helps=True),
)
search.start()
waiting = 0
while waiting < 2_200 and not search.wait(0.5):
    waiting = sum(job.place == "stalled" for job in search.state().jobs)
Checkpoint(Path(sys.argv[1]).with_suffix(".checkpoint"), "key").write(search.state())
search.stop()
search.wait()
groups = search.result().groups
picks = np.split(week["bits"], 10)
tested = VariationPool.of([str(i) for i in range(10)], picks, PrunerSettings(), whole=False)
weeks = ShuffledWeeks(week["pp"], np.zeros(1000, np.int64), tested, GroupRules(3, 10), seed=1, anchor_tests=50)
lane = EvidenceLane(
    weeks, [group.score for group in groups], ledger=search.ledger, threads=4, shuffles=100, time_left_s=1.0
)
lane.start()
lane.wait()
print(json.dumps({"waiting": waiting, "before": before, "peak": peak_mb()}))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="the peak of a process is read from POSIX getrusage")
def test_ten_algorithms_of_250_variations_are_searched_in_less_than_300_megabytes(tmp_path: Path) -> None:
    week = spread(1, algorithms=10, each=250)
    file = tmp_path / "week.npz"
    np.savez(file, bits=week.bits, pp=week.pp, algorithm=week.algorithm)
    done = subprocess.run(
        [sys.executable, "-c", SEARCH, str(file)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    measured = json.loads(done.stdout)
    assert measured["waiting"] >= 2_200
    assert measured["before"] < measured["peak"] < LIMIT_MB, measured
