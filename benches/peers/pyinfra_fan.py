"""pyinfra's part of the fleet: its deploy file. The inventory is written by the benchmark."""

import json
import os

from pyinfra.operations import files, server

task = json.load(open(os.environ["FLEET_TASK"]))

for number, command in enumerate(task["commands"]):
    server.shell(name=f"command {number}", commands=[command])
files.put(name="upload", src=task["payload"], dest=task["to"])
