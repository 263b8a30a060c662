"""The engine in the races of `dev/torture races`: it is watched, slowed and stopped."""

import contextlib
import os
import random
import select
import time
from unittest.mock import patch

from odoo import fields
from odoo.modules.registry import Registry

from dev.race_ground import call_connections
from dev.torture_lib import CRONS, connect, fork, kill, run_cron

#: Nothing should take as long; it is a failure if it does.
TIMEOUT = 60

#: Where the engine stands still: (cron, model, method, before or after it).
STOPS = (
    ("reconcile", "dunning.mark", "_read_marks", "after"),
    ("reconcile", "dunning.enrollment", "_read_instalments", "after"),
    ("reconcile", "dunning.enrollment", "_apply", "after"),
    ("run", "dunning.enrollment", "_get_due_chunks", "after"),
    ("run", "dunning.enrollment", "_lock_due", "before"),
    ("run", "dunning.enrollment", "_lock_due", "after"),
    ("run", "dunning.reminder", "_create_messages", "before"),
    ("run", "dunning.reminder", "_trigger_delivery", "after"),
    ("send", "dunning.reminder", "_take", "before"),
    ("send", "dunning.reminder", "_take", "after"),
    ("send", "dunning.reminder", "_read_versions", "after"),
    ("send", "dunning.reminder", "_read_ahead", "after"),
    ("send", "dunning.reminder", "_lease", "before"),
    ("send", "dunning.reminder", "_lease", "after"),
    ("send", "dunning.reminder", "_is_still_true", "after"),
    ("send", "dunning.reminder", "_are_moves_settled", "after"),
    ("send", "dunning.attempt", "_write_ahead", "before"),
    ("send", "dunning.attempt", "_write_ahead", "after"),
    ("send", "dunning.reminder", "_register_sent", "after"),
)


@contextlib.contextmanager
def watched(ground):
    """Note when the delivery of each reminder begins, and when it asks a last time."""
    Reminder = Registry(ground.database)["dunning.reminder"]
    lease, settled = Reminder._lease, Reminder._are_moves_settled
    began = {}

    def noting_lease(self, run, reminder_id):
        began[reminder_id] = time.time()
        return lease(self, run, reminder_id)

    def noting_settled(self, versions):
        asked = time.time()
        answer = settled(self, versions)
        ground.note(
            ground.leases,
            message_id=self.message_id,
            leased=began.get(self.id),
            asked=asked,
            ahead=None not in versions.values(),
        )
        return answer

    with (
        patch.object(Reminder, "_lease", noting_lease),
        patch.object(Reminder, "_are_moves_settled", noting_settled),
    ):
        yield


@contextlib.contextmanager
def slowed(ground, dice):
    """Now and then a pause where the order of events decides."""
    registry = Registry(ground.database)

    def slow(function):
        def slower(*args, **kwargs):
            if dice.random() < 0.3:
                time.sleep(dice.uniform(0, 0.15))
            return function(*args, **kwargs)

        return slower

    with contextlib.ExitStack() as stack:
        for model, name in {(model, name) for _cron, model, name, _when in STOPS}:
            function = getattr(registry[model], name)
            stack.enter_context(patch.object(registry[model], name, slow(function)))
        yield


def work(ground, seed, ending):
    """Run the crons over and over, as a worker of Odoo does.

    :param ending: a pipe: end when something can be read from it
    """
    call_connections(ground.database, "engine")
    dice = random.Random(seed)
    with watched(ground), slowed(ground, dice):
        while not select.select([ending], [], [], 0)[0]:
            run_cron(ground.database, dice.choice(CRONS))


def work_with_stop(ground, stop, reached, go):
    """Run one cron, and stand still at a place, once, until told to go on."""
    cron, model, name, when = stop
    Model = Registry(ground.database)[model]
    stops = [True]

    def stand_still(now):
        if now == when and stops and stops.pop():
            os.write(reached, b"!")
            select.select([go], [], [], TIMEOUT)

    with watched(ground):
        function = getattr(Model, name)

        def stopping(*args, **kwargs):
            stand_still("before")
            result = function(*args, **kwargs)
            stand_still("after")
            return result

        with patch.object(Model, name, stopping):
            run_cron(ground.database, cron)


def work_at(ground, offset, seconds):
    """Work for a while, with a clock that goes wrong."""
    now = fields.Datetime.now

    def shifted_now(*_args):
        return now() + offset

    def shifted_today(*_args):
        return shifted_now().date()

    deadline = time.monotonic() + seconds
    dice = random.Random(os.getpid())
    with (
        patch.object(fields.Datetime, "now", staticmethod(shifted_now)),
        patch.object(fields.Date, "today", staticmethod(shifted_today)),
        patch.object(fields.Date, "context_today", staticmethod(shifted_today)),
        slowed(ground, dice),
    ):
        while time.monotonic() < deadline:
            run_cron(ground.database, dice.choice(CRONS))


def is_locked_out(ground):
    """Does somebody wait for a lock?"""
    with connect(ground.database) as connection, connection.cursor() as cr:
        cr.execute(
            "SELECT FROM pg_stat_activity WHERE datname = current_database()"
            " AND wait_event_type = 'Lock' AND application_name LIKE 'person%'"
        )
        return bool(cr.rowcount)


def watch_locks(ground):
    """Note how long payments wait for a lock of the engine, until killed."""
    waits = {}
    with connect(ground.database) as connection:
        connection.autocommit = True
        cr = connection.cursor()
        while True:
            cr.execute(
                """
                SELECT waiting.pid, waiting.application_name
                  FROM pg_stat_activity waiting
            CROSS JOIN unnest(pg_blocking_pids(waiting.pid)) AS blocking (pid)
                  JOIN pg_stat_activity blocker ON blocker.pid = blocking.pid
                 WHERE waiting.datname = current_database()
                   AND waiting.wait_event_type = 'Lock'
                   AND waiting.application_name LIKE 'person%'
                   AND blocker.application_name = 'engine'
                """
            )
            now, found = time.time(), dict(cr.fetchall())
            for pid in waits.keys() - found.keys():
                since, name = waits.pop(pid)
                ground.note(ground.waits, name=name[7:], waited=now - since)
            for pid, name in found.items():
                waits.setdefault(pid, (now, name))
            time.sleep(0.02)


@contextlib.contextmanager
def watching(ground):
    watcher = fork(watch_locks, ground)
    try:
        yield
    finally:
        kill(watcher)
