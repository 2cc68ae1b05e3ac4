"""A Dask scheduler whose workers are jobs of Slurm: ``python jobqueue.py FOLDER --jobs N [--when FILE]``.

It writes its address to ``FOLDER/address``, starts the workers once the file is there, and stays until it is ended.
"""

import argparse
import signal
import time
from pathlib import Path

from dask_jobqueue import SLURMCluster


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--jobs", type=int, required=True)
    parser.add_argument("--when", type=Path)
    options = parser.parse_args()
    logs = str(options.folder / "workers")
    job = {"cores": 1, "processes": 1, "memory": "1GB", "interface": "lo", "log_directory": logs}
    with SLURMCluster(**job, scheduler_options={"dashboard_address": ":0"}) as cluster:
        (options.folder / "address.new").write_text(cluster.scheduler_address)
        (options.folder / "address.new").rename(options.folder / "address")
        while options.when and not options.when.exists():
            time.sleep(0.1)
        cluster.scale(jobs=options.jobs)
        signal.pause()


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    main()
