"""asyncssh's part of the fleet: one connection a host, the commands in order, each on a channel of its own, then the file by SFTP.

Usage: python asyncssh_fan.py TASK.json
"""

import asyncio
import json
import sys

import asyncssh

task = json.load(open(sys.argv[1]))


async def host(address: str, turns: asyncio.Semaphore) -> None:
    async with turns, asyncssh.connect(
        address,
        task["port"],
        username="root",
        client_keys=[task["key"]],
        known_hosts=task["known_hosts"],
        config=None,
        agent_path=None,
    ) as connection:
        for command in task["commands"]:
            await connection.run(command, check=True)
        if task["payload"]:
            async with connection.start_sftp_client() as sftp:
                await sftp.put(task["payload"], task["to"])


async def main() -> None:
    turns = asyncio.Semaphore(task["at_once"])
    await asyncio.gather(*(host(address, turns) for address in task["addresses"]))


asyncio.run(main())
