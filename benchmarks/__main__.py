"""`python -m benchmarks [NAME…]`: run all benchmarks, or those named."""

import subprocess
import sys

NAMES = (
    *("startup", "throughput", "storm", "memory", "intervals", "batching", "phases", "replicas", "minis"),
    *("leaderboard", "viewer", "training", "duplicates", "building", "building_memory", "structure", "correction"),
    *("gates", "power", "attacks", "readers", "parquet", "progress"),
)


def main() -> None:
    for name in sys.argv[1:] or NAMES:
        print(f"== {name}", flush=True)
        subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=True)


if __name__ == "__main__":
    main()
