"""People at work in a process that may be killed: claims, answers, sends twice now and then, and notes every receipt.

Usage:  worker.py STUDY LOG SEED PERSON…
"""

from __future__ import annotations

import json
import os
import random
import sys
import threading

from cvalues.people import assign, submit
from cvalues.people.desk import Desk
from cvalues.people.forms import Assignment
from cvalues.study import open_study


def main(where: str, log: str, seed: int, persons: list[str]) -> None:
    """Works until nobody gets anything."""
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    with open_study(where) as study:
        desk = Desk(study)
        threads = [
            threading.Thread(target=go, args=(desk, person, descriptor, seed + number))
            for number, person in enumerate(persons)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def go(desk: Desk, person: str, descriptor: int, seed: int) -> None:
    """One person: the key is made once per answer and sent again until there is a receipt, as a browser's outbox does."""
    chance = random.Random(seed)  # noqa: S311 -- when to send twice is no secret
    while isinstance(given := assign.claim_next(desk, person, "c"), Assignment):
        key = f"{person}-{given.task}-{given.rev}"
        answer = {"safe": "safe"}
        for _ in range(2 if chance.random() < 0.1 else 1):
            receipt = submit.submit(desk, person, {"key": key, "task": given.task, "answer": answer})
            line = json.dumps({"key": receipt.id, "person": person, "task": receipt.task}) + "\n"
            # One write call a line: a killed process leaves whole lines before it.
            os.write(descriptor, b"\n" + line.encode())


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4:])
