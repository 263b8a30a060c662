"""Everybody at once: what people do while the engine works harms neither.

    python -m dev.torture_races ODOO.CONF DATABASE [--seed N]
    RACES=24 …                     smaller (2 minutes); 120 unless told
    PHASES="storm pairs" ONLY=word …   some of them

Real processes, real commits. User actions go through Odoo's own `retrying`, as RPC
does: whatever the database refuses, no user sees it.

* stopped: the engine stands still in the middle of its work, the action is done and
  committed, the engine goes on;
* storm: crons and people at random, for a while;
* pairs: two people press the same button at the same instant;
* clocks: two hosts, one of which believes that it is tomorrow.

Then the mails that arrived are held against the moments at which invoices were
settled, and a look at everything must find nothing that is not true.
"""

import contextlib
import os
import select
import time
from collections import Counter
from datetime import datetime, timedelta

from dev.race_actions import ACTIONS, PAYS
from dev.race_engine import (
    STOPS,
    TIMEOUT,
    is_locked_out,
    watching,
    work,
    work_at,
    work_with_stop,
)
from dev.race_ground import Ground
from dev.race_outcome import Outcome
from dev.torture_lib import (
    end,
    environment,
    fork,
    get_failed_jobs,
    inbox,
    parse_arguments,
    run_cron,
)

#: So many of the some 500 ways to stand still; another seed takes others.
RACES = int(os.environ.get("RACES", 120))
#: Some of the rounds: those whose name has this word.
ONLY = os.environ.get("ONLY", "")

STORM_WAVES = max(1, RACES // 30)
STORM_WAVE = 30  # customers
PAIR_ROUNDS = max(1, RACES // 30)
CLOCK_CUSTOMERS = 12

#: Seconds after which it is asked whether an action waits for who stands still.
BLOCKED = 0.8
#: Customers whose reminders the delivery takes at once, while it stands still.
BATCH = 3

ALONE = (
    "pays",
    "pays in part",
    "credit is assigned",
    "bank line is matched",
    "is blocked",
    "excluded from follow-up",
    "back to draft",
    "is cancelled",
    "is reversed",
    "due date moves",
    "is paused",
    "is promised",
    "is disputed",
    "customer is paused",
    "paused and resumed",
    "invoice is left out",
    "invoice moves to another sequence",
    "customer is left out",
    "customer moves to another sequence",
    "address changes",
    "contact is merged",
    "customer is merged into another",
    "reminded from the list",
    "reminded in the composer",
    "recorded as reminded",
    "step is skipped",
)
#: These concern everybody: one invoice at a time.
FOR_ALL = (
    "company takes another sequence and back",
    "step is edited",
    "sequence stops and starts",
)

#: (what is there before, one person, another one)
PAIRS = (
    ("due", "reminded from the list", "reminded from the list"),
    ("due", "reminded in the composer", "reminded in the composer"),
    ("due", "reminded in the composer", "recorded as reminded"),
    ("due", "recorded as reminded", "recorded as reminded"),
    ("due", "step is skipped", "reminded from the list"),
    ("due", "is paused", "pays"),
    ("due", "pays", "bank line is matched"),
    ("without sequence", "reminded in the composer", "reminded in the composer"),
    ("reminded before", "reminded in the composer", "reminded in the composer"),
    ("reminded before", "reminded in the composer", "recorded in the composer"),
    ("to approve", "approved", "approved"),
    ("to approve", "approved", "skipped instead of approved"),
    ("to approve", "approved", "kept from leaving"),
    ("to approve", "approved", "pays"),
    ("to approve", "starts again", "approved"),
    ("failed", "retried", "retried"),
    ("failed", "retried", "pays"),
    ("failed without step", "retried", "retried"),
    ("due", "customers are enrolled", "customers are enrolled"),
    ("due", "sequence is started", "sequence is started"),
    ("due", "contact is merged", "pays"),
)


def wait_for(process_id, seconds):
    """Wait for a process; return its exit code, None when it is still running."""
    deadline = time.monotonic() + seconds
    while True:
        found, status = os.waitpid(process_id, os.WNOHANG)
        if found:
            return status
        if time.monotonic() > deadline:
            return None
        time.sleep(0.005)


@contextlib.contextmanager
def pipe():
    """Yield (what is read from, what is written to)."""
    ends = os.pipe()
    try:
        yield ends
    finally:
        for descriptor in ends:
            os.close(descriptor)


# --- one stands still -----------------------------------------------------------------


def prepare_stopped(ground, stop, name):
    """Return the invoice that something is done to: one of those sent together."""
    invoice_ids = ground.post(BATCH if stop[0] == "send" else 1)
    if stop[0] == "send":
        run_cron(ground.database, "reconcile")
        run_cron(ground.database, "run")
    chosen = ground.dice.choice(invoice_ids)
    for invoice_id in invoice_ids:
        ground.told[invoice_id] = f"{name}, while “{stop[0]}” is {stop[3]} {stop[2]}"
        if invoice_id != chosen and name in ALONE:
            ground.bystanders.append(invoice_id)
    return chosen


def is_held_up(ground, person):
    """Does he wait for the one who stands still? Who is only slow does not."""
    for _time in range(5):
        if wait_for(person, BLOCKED) is not None:
            return False
        if is_locked_out(ground):
            break
    return True


def race_stopped(ground, stop, name):
    """The engine stands still; somebody acts; the engine goes on.

    :return: did he wait until it did?
    """
    invoice_id = prepare_stopped(ground, stop, name)
    wrong = []
    with pipe() as (reached, worker_reached), pipe() as (worker_go, go):
        worker = fork(work_with_stop, ground, stop, worker_reached, worker_go)
        if not select.select([reached], [], [], TIMEOUT / 6)[0]:
            wrong.append("never got there")
        person = fork(ground.act, name, invoice_id)
        waits = is_held_up(ground, person)
        os.write(go, b"!")
        if wait_for(worker, TIMEOUT) is None:
            wrong.append("the engine is stuck")
        if waits and wait_for(person, TIMEOUT) is None:
            wrong.append("stuck")
    if waits and name in PAYS and stop[0] == "send":
        wrong.append("money waits for a mail")
    ground.problems += [f"{ground.told[invoice_id]}: {problem}" for problem in wrong]
    return waits


def phase_stopped(ground):
    pairs = [(stop, name) for stop in STOPS for name in (*ALONE, *FOR_ALL)]
    pairs = [(stop, name) for stop, name in pairs if ONLY in f"{stop} {name}"]
    pairs = ground.dice.sample(pairs, min(RACES, len(pairs)))
    rounds, waits = Counter(), Counter()
    for stop, name in pairs:
        waits[stop[0]] += race_stopped(ground, stop, name)
        rounds[stop[0]] += 1
    ground.quiet()
    for cron, times in rounds.items():
        print(
            f"  {cron} stood still {times} times; {waits[cron]} actions waited for it"
        )


# --- all at once ----------------------------------------------------------------------


def act_in_turn(ground, tasks, user):
    for pause, name, invoice_id in tasks:
        time.sleep(pause)
        ground.act(name, invoice_id, user)


def phase_storm(ground):
    """Crons and people at random."""
    for wave in range(STORM_WAVES):
        names = [*ALONE, FOR_ALL[wave % len(FOR_ALL)]]
        ground.dice.shuffle(names)
        tasks = [
            (ground.dice.uniform(0, 0.15), name, invoice_id)
            for name, invoice_id in zip(names, ground.post(STORM_WAVE), strict=False)
        ]
        for _pause, name, invoice_id in tasks:
            ground.told[invoice_id] = f"{name}, in the storm"
        blow(ground, tasks)
        ground.quiet()


def blow(ground, tasks):
    """Four people and three workers, until all is done."""
    with pipe() as (ending, ended):
        workers = [fork(work, ground, ground.dice.random(), ending) for _n in range(3)]
        people = [
            fork(act_in_turn, ground, tasks[user::4], user % 2) for user in range(4)
        ]
        for person in people:
            if wait_for(person, TIMEOUT) is None:
                ground.problems.append("somebody is stuck in the storm")
        time.sleep(1)
        os.write(ended, b"!")
        for worker in workers:
            if wait_for(worker, TIMEOUT) is None:
                ground.problems.append("a worker is stuck in the storm")


# --- two people -----------------------------------------------------------------------


def prepare_pair(ground, what):
    (invoice_id,) = ground.post(what=what)
    run_cron(ground.database, "reconcile")
    if what in ("to approve", "failed", "reminded before"):
        run_cron(ground.database, "run")
        run_cron(ground.database, "send")
    if what == "failed without step":
        with environment(ground.database, ground.user_ids[0]) as env:
            ACTIONS["reminded in the composer"](env["account.move"].browse(invoice_id))
        run_cron(ground.database, "send")
    return invoice_id


def race_pair(ground, what, names):
    invoice_id = prepare_pair(ground, what)
    ground.told[invoice_id] = f"{what}: {names[0]} and {names[1]} at once"
    with pipe() as (starting, start):
        people = [
            fork(ground.act, name, invoice_id, user, starting)
            for user, name in enumerate(names)
        ]
        time.sleep(0.1)
        os.write(start, b"!!")
        for person in people:
            if wait_for(person, TIMEOUT) is None:
                ground.problems.append(f"{ground.told[invoice_id]}: stuck")
    ground.quiet()


def phase_pairs(ground):
    """Two people at the same instant."""
    for what, *names in PAIRS:
        if ONLY in " ".join((what, *names)):
            for _round in range(PAIR_ROUNDS):
                race_pair(ground, what, names)


# --- two hosts ------------------------------------------------------------------------


def phase_clocks(ground):
    """Two hosts around midnight: for one it is tomorrow already."""
    invoice_ids = ground.post(CLOCK_CUSTOMERS, "clocks")
    ground.told.update(dict.fromkeys(invoice_ids, "two hosts with clocks apart"))
    now = datetime.utcnow()
    midnight = datetime.combine(now.date() + timedelta(days=1), datetime.min.time())
    for hours in (0, 1, 24, 48):
        offset = midnight - now + timedelta(hours=hours)
        hosts = [
            fork(work_at, ground, offset + timedelta(minutes=minutes), 4)
            for minutes in (-10, 10)
        ]
        for host in hosts:
            if wait_for(host, TIMEOUT) is None:
                ground.problems.append("a host is stuck")
    with environment(ground.database) as env:
        for invoice in env["account.move"].browse(invoice_ids):
            ground.problems += check_days(invoice)


def check_days(invoice):
    """Each step once, the second on a later day."""
    lines = invoice.dunning_reminder_line_ids.filtered("counts").sorted("id")
    said = [(line.step_name, str(line.sent_on)) for line in lines]
    if [name for name, _day in said] != ["S1", "S2"] or said[0][1] >= said[1][1]:
        yield f"{invoice.name}, two hosts with clocks apart: {said}"


# --- main -----------------------------------------------------------------------------


PHASES = {
    "stopped": phase_stopped,
    "storm": phase_storm,
    "pairs": phase_pairs,
    "clocks": phase_clocks,
}


def main():
    started = time.monotonic()
    args = parse_arguments("Everybody at once.")
    ground = Ground(args.database, args.folder, args.seed)
    with inbox(args.folder) as smtp_port:
        ground.set_up(smtp_port)
        for name in os.environ.get("PHASES", " ".join(PHASES)).split():
            began = time.monotonic()
            with watching(ground):
                PHASES[name](ground)
            print(f"{name}: {time.monotonic() - began:.0f} s", flush=True)
    outcome = Outcome(ground)
    with environment(args.database) as env:
        problems = ground.problems + list(outcome.get_problems(env))
    problems += get_failed_jobs(args.log)
    outcome.tell()
    end(problems, started)


if __name__ == "__main__":
    main()
