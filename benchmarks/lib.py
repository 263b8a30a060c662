"""What the benchmarks share: databases, clocks, and runs that alternate.

Whatever is timed runs in a process of its own, on a fresh copy of its database when
it writes. The subjects that are compared take turns, run after run, so that a machine
whose speed drifts slows all of them alike: what is said of them is the ratio of each
run, and its median.
"""

import contextlib
import gc
import os
import pickle
import resource
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import psycopg2

import odoo
from odoo import SUPERUSER_ID, api
from odoo.modules.registry import Registry
from odoo.tools import config

#: Databases for one run end with it; their names are made of these.
WORK = "bench_work"


# --- databases ------------------------------------------------------------------


@contextlib.contextmanager
def maintenance():
    """A cursor for what cannot be done in a transaction."""
    odoo.sql_db.close_all()
    connection = psycopg2.connect(
        host=config["db_host"],
        port=config["db_port"],
        user=config["db_user"],
        dbname="postgres",
    )
    connection.autocommit = True
    try:
        yield connection.cursor()
    finally:
        connection.close()


def drop_db(name):
    with maintenance() as cr:
        cr.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
    shutil.rmtree(get_filestore(name), ignore_errors=True)


def copy_db(source, target):
    """Copy a database with its files."""
    drop_db(target)
    with maintenance() as cr:
        # Copies the files as they are, not row by row through the log.
        cr.execute(f'CREATE DATABASE "{target}" TEMPLATE "{source}" STRATEGY FILE_COPY')
    if get_filestore(source).is_dir():
        shutil.copytree(get_filestore(source), get_filestore(target))


def get_filestore(name):
    return Path(config["data_dir"], "filestore", name)


def get_note(name):
    """What a database was made of, None when there is no such database."""
    with maintenance() as cr:
        cr.execute(
            "SELECT shobj_description(oid, 'pg_database') FROM pg_database "
            "WHERE datname = %s",
            [name],
        )
        row = cr.fetchone()
    return row[0] or "" if row else None


def set_note(name, note):
    with maintenance() as cr:
        cr.execute(f'COMMENT ON DATABASE "{name}" IS %s', [note])


def vacuum(name):
    odoo.sql_db.close_all()
    connection = psycopg2.connect(
        host=config["db_host"],
        port=config["db_port"],
        user=config["db_user"],
        dbname=name,
    )
    connection.autocommit = True
    with connection.cursor() as cr:
        cr.execute("VACUUM ANALYZE")
        cr.execute("CHECKPOINT")
    connection.close()


@contextlib.contextmanager
def environment(database, user_id=SUPERUSER_ID, **context):
    """An environment whose changes are committed."""
    with Registry(database).cursor() as cr:
        yield api.Environment(cr, user_id, context)


# --- clocks ---------------------------------------------------------------------


@dataclass
class Clock:
    """Times the blocks that it is entered with, and counts their queries."""

    seconds: float = 0.0
    cpu: float = 0.0  # of this process: what is left is the database's, or waiting
    queries: int = 0
    #: How many things were done: what "per" refers to.
    count: int = 1
    #: Highest memory of the process so far, in MB.
    peak: float = 0.0
    notes: dict = field(default_factory=dict)

    def __enter__(self):
        gc.collect()
        self._queries = odoo.sql_db.sql_counter
        self._cpu = time.process_time()
        self._start = time.perf_counter()

    def __exit__(self, *exc_info):
        self.seconds += time.perf_counter() - self._start
        self.cpu += time.process_time() - self._cpu
        self.queries += odoo.sql_db.sql_counter - self._queries
        self.peak = get_peak_memory()

    @property
    def each(self):
        """Seconds for one thing."""
        return self.seconds / self.count


def get_peak_memory():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def in_child(function, *args):
    """Run a function in a process of its own; return what it returns."""
    odoo.sql_db.close_all()  # connections cannot be shared
    gc.collect()
    reading, writing = os.pipe()
    process_id = os.fork()
    if not process_id:
        status = 1
        try:
            os.close(reading)
            result = pickle.dumps(function(*args))
            with os.fdopen(writing, "wb") as pipe:
                pipe.write(result)
            status = 0
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            os._exit(status)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        result = pipe.read()
    _process_id, status = os.waitpid(process_id, 0)
    if status:
        raise SystemExit(f"{function.__qualname__} failed, see above")
    return pickle.loads(result)


# --- runs -----------------------------------------------------------------------


@dataclass
class Subject:
    """One of the things that are compared."""

    #: Gets an environment, or the name of the database, and a clock.
    act: callable
    #: The database to work on.
    database: str
    #: A copy for each run: it writes what stays.
    writes: bool = True
    #: It makes its own environments, for it needs several transactions.
    by_name: bool = False
    user_id: int = SUPERUSER_ID

    def run(self, index):
        """Return the clock of one run."""
        name = self.database
        if self.writes:
            name = f"{WORK}_{index}"
            copy_db(self.database, name)
        # What all runs need is read once, before the process of the run is made.
        Registry(name)
        return in_child(self._run, name)

    def _run(self, name):
        clock = Clock()
        if self.by_name:
            self.act(name, clock)
        else:
            with environment(name, self.user_id) as env:
                self.act(env, clock)
        return clock


def run_in_turn(subjects, runs):
    """Let the subjects take turns.

    :param subjects: {name: Subject}
    :return: {name: one clock a run}
    """
    clocks = {name: [] for name in subjects}
    order = list(enumerate(subjects.items()))
    try:
        for number in range(runs):
            # There and back again: none is always the first.
            for index, (name, subject) in order if number % 2 == 0 else order[::-1]:
                clocks[name].append(subject.run(index))
    finally:
        for index in range(len(order)):
            Registry.delete(f"{WORK}_{index}")
            drop_db(f"{WORK}_{index}")
    return clocks


def get_ratios(ours, theirs, value=lambda clock: clock.each):
    """Return the ratio of each run."""
    return [value(a) / value(b) for a, b in zip(ours, theirs, strict=True)]


def typical(clocks, value=lambda clock: clock.each):
    return median(map(value, clocks))
