"""DBOS' part of the fan: workflows of no-op steps on SQLite, in one process, CONCURRENCY at once. SQLite is as DBOS sets it up
(rollback journal, synchronous=FULL): each step is durable before the next begins.

Usage: python dbos_fan.py FOLDER WORKFLOWS STEPS CONCURRENCY
Prints one line of JSON: { steps, seconds, cpu_seconds } over the workflows.
"""

import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from dbos import DBOS, DBOSConfig

folder = sys.argv[1]
workflows, steps, concurrency = (int(arg) for arg in sys.argv[2:5])

config: DBOSConfig = {
    "name": "fan",
    "system_database_url": f"sqlite:///{folder}/dbos.sqlite",
    "run_admin_server": False,
    "log_level": "ERROR",
}
DBOS(config=config)


@DBOS.step()
def step(number: int) -> None:
    return None


@DBOS.workflow()
def run() -> int:
    for number in range(steps):
        step(number)
    return steps


DBOS.launch()
run()  # What is made on first use is not measured.
began, cpu = time.perf_counter(), time.process_time()
with ThreadPoolExecutor(concurrency) as pool:
    done = sum(pool.map(lambda _: run(), range(workflows)))
seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - cpu
if done != workflows * steps:
    sys.exit(f"{done} steps were done, not {workflows * steps}")
print(json.dumps({"steps": done, "seconds": seconds, "cpu_seconds": cpu_seconds}), flush=True)
os._exit(0)  # Its background threads are not waited for.
