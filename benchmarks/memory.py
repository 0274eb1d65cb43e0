"""Largest resident memory of `segsearch run`, and seconds that the light commands take, as the system sees them.

python benchmarks/memory.py [--study studies/camvid.toml] [--trials 2] [--epochs 2]
"""

from __future__ import annotations

import argparse
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SEGSEARCH = [sys.executable, "-m", "segsearch"]
IMPORTS = """
import sys
from segsearch.commands.app import main
main(sys.argv[1:])
print(sorted({"torch", "optuna"} & set(sys.modules)))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--study", type=Path, default=Path("studies/camvid.toml"))
    parser.add_argument("--trials", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        text = re.sub(r"(?m)^epochs = \d+", f"epochs = {options.epochs}", options.study.read_text())
        text = re.sub(r"(?m)^fine_tune_epochs = \d+", "fine_tune_epochs = 1", text)
        study = Path(scratch) / options.study.name
        folder = re.search(r'(?m)^root = "(.*)"', text)
        if folder:
            text = text.replace(folder[1], str((options.study.parent / folder[1]).resolve()))
        study.write_text(text)
        run = [*SEGSEARCH, "run", str(study), "--trials", str(options.trials), "--out", f"{scratch}/run"]
        subprocess.run(run, check=True)
        peak_kib = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        print(f"run, {options.trials} trials of {options.epochs} epochs: largest resident {peak_kib / 2**20:.2f} GiB")
        database = f"{scratch}/run/study.db"
        for arguments in (["--help"], ["status", database], ["front", database]):
            seconds = []
            for _ in range(5):
                start = time.perf_counter()
                subprocess.run([*SEGSEARCH, *arguments], check=True, capture_output=True)
                seconds.append(time.perf_counter() - start)
            loaded = subprocess.run([sys.executable, "-c", IMPORTS, *arguments], capture_output=True, text=True)
            heavy = loaded.stdout.strip().splitlines()[-1] if loaded.stdout else "?"
            print(f"segsearch {arguments[0]:8s} {statistics.median(seconds):.2f} s, heavy packages imported: {heavy}")


if __name__ == "__main__":
    main()
