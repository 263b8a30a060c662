"""Kill workers at any moment: no reminder is lost and none is sent twice.

    python -m dev.torture_crash ODOO.CONF DATABASE [--seed N] [--short]

Real processes run the real crons, all at once, and are killed with SIGKILL, while
customers pay. Then the mails that arrived are held against reminders and journal.

- forked: workers that kill themselves just where it hurts most, lose their database
  connection there, or are killed by a clock;
- servers: Odoo's own prefork server with its cron workers; now and then it is killed
  as a whole, and the database server, too;
- a copy of the database is neutralized before anything leaves: it must send nothing.

--short is the first part, small: a check for every day.

This cannot be tested inside a transaction that is rolled back: it takes several
connections, and commits that a kill leaves behind.
"""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from unittest.mock import patch

import psutil
import psycopg2

import odoo
from odoo.modules.registry import Registry

from dev.torture_lib import (
    CRONS,
    Cluster,
    connect,
    copy_database,
    count_queued,
    drop_database,
    end,
    environment,
    finish,
    fork,
    get_failed_jobs,
    hurry,
    inbox,
    is_over,
    is_written,
    judge,
    kill,
    parse_arguments,
    pay,
    play,
    run_cron,
    set_up,
)

#: What a cron that lost its database says.
LOST_DATABASE = (
    "OperationalError",
    "InterfaceError",
    "DatabaseError",  # "server closed the connection unexpectedly"
    "AdminShutdown",
    "CrashShutdown",
)


class Size:
    """How much of it."""

    def __init__(self, customers, workers, kills, timeout, pause, cuts=False, slow=0):
        self.customers = customers
        self.workers = workers
        self.kills = kills
        self.timeout = timeout  # seconds; nothing should take as long
        self.pause = pause  # seconds between two payments
        self.cuts = cuts  # are database connections cut, too?
        self.slow = slow  # milliseconds of the mail server


SHORT = Size(customers=160, workers=3, kills=14, timeout=300, pause=0.15)
FORKED = Size(
    customers=1000, workers=3, kills=60, timeout=1200, pause=0.3, cuts=True, slow=20
)
SERVERS = Size(customers=4000, workers=3, kills=60, timeout=1800, pause=0.2, slow=20)


# --- forked workers -------------------------------------------------------------------


def work(database, seed, cuts):
    """Run the crons over and over, as a worker of Odoo does, and die in between."""
    dice = random.Random(seed)
    with contextlib.ExitStack() as stack:
        for fatal in get_fatal_moments(database, dice):
            stack.enter_context(fatal)
        if cuts:
            for cut in get_cuts(database, dice):
                stack.enter_context(cut)
        while True:
            try:
                run_cron(database, dice.choice(CRONS))
            except psycopg2.Error:  # Odoo's cron loop logs it, and goes on
                time.sleep(0.1)


def get_fatal_moments(database, dice):
    """Patches that kill the process where the order of events decides."""
    registry = Registry(database)

    def die(before, chance):
        def wrap(function):
            def dying(*args, **kwargs):
                if before and dice.random() < chance:
                    os.kill(os.getpid(), signal.SIGKILL)
                result = function(*args, **kwargs)
                if not before and dice.random() < chance:
                    os.kill(os.getpid(), signal.SIGKILL)
                return result

            return dying

        return wrap

    reminder, attempt = registry["dunning.reminder"], registry["dunning.attempt"]
    for model, name, wrap in (
        # all is written, nothing is committed
        (reminder, "_create_messages", die(before=False, chance=0.3)),
        # leased, and nothing was said to the server
        (reminder, "_hand_over", die(before=True, chance=0.01)),
        # the text was said, the journal has not got it
        (attempt, "_write_ahead", die(before=True, chance=0.01)),
        # the journal has it, the dot was not sent
        (attempt, "_write_ahead", die(before=False, chance=0.01)),
        # the server took it, nothing is written
        (reminder, "_register_sent", die(before=True, chance=0.02)),
        # all is written, nothing is committed
        (reminder, "_register_sent", die(before=False, chance=0.02)),
    ):
        yield patch.object(model, name, wrap(getattr(model, name)))


def get_cuts(database, dice):
    """Patches that take a database connection away where that decides."""
    attempt = Registry(database)["dunning.attempt"]
    write_ahead, commit = attempt._write_ahead, odoo.sql_db.Cursor.commit

    def cut_after(self, *args):
        """The journal has it, and the reminder will not learn it."""
        fresh = write_ahead(self, *args)
        if dice.random() < 0.01:
            cut(self.env.cr)
        return fresh

    def cut_commit(cr):
        """Any commit: of the journal, too."""
        if dice.random() < 0.002:
            cut(cr)
        return commit(cr)

    yield patch.object(attempt, "_write_ahead", cut_after)
    yield patch.object(odoo.sql_db.Cursor, "commit", cut_commit)


def cut(cr):
    with connect(cr.dbname) as connection, connection.cursor() as other:
        other.execute("SELECT pg_terminate_backend(%s)", [cr._cnx.get_backend_pid()])


def live_forked(database, seed, size):
    """Workers work, and are killed, until enough of them were and all was written.

    :return: how often a worker was killed, by the clock and by itself
    """
    dice = random.Random(seed)
    kills, ends = Counter(), {}
    started = time.monotonic()
    deadline = started + size.timeout

    def start():
        worker = fork(work, database, dice.random(), size.cuts)
        now = time.monotonic()
        # A busy machine needs longer to get anywhere.
        ends[worker] = now + dice.uniform(0.3, 3) * (1 + (now - started) / 20)

    while sum(kills.values()) < size.kills or not is_written(database):
        if time.monotonic() > deadline:
            raise SystemExit(f"Stuck after {kills}")
        while len(ends) < size.workers:
            start()
        for worker, moment in list(ends.items()):
            process_id, status = os.waitpid(worker, os.WNOHANG)
            if process_id:
                kills["by itself"] += os.WIFSIGNALED(status)
                del ends[worker]
            elif time.monotonic() > moment:
                kill(worker)
                kills["by the clock"] += 1
                del ends[worker]
        time.sleep(0.02)
    for worker in ends:
        kill(worker)
    return kills


# --- Odoo's own server ----------------------------------------------------------------


class Server:
    """Odoo's prefork server, as an administrator starts it."""

    def __init__(self, args, workers, *more):
        self.log = args.folder / "server.log"
        self.command = [
            *(sys.executable, "-m", "odoo", "-c", args.config, "-d", args.database),
            *("--workers=2", f"--max-cron-threads={workers}", "--no-http"),
            *("--log-level=warn", f"--logfile={self.log}", *more),
        ]
        self.process = None

    def start(self):
        self.process = subprocess.Popen(
            self.command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def kill_worker(self, dice):
        """Kill one of the workers; return whether there was one."""
        try:
            workers = psutil.Process(self.process.pid).children()
            dice.choice(workers).kill()
        except (psutil.NoSuchProcess, IndexError):  # it is starting
            return False
        return True

    def kill(self):
        """The master and all its workers at once: the machine lost its power."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def live_servers(args, seed, size):
    """The server works, and is killed in part and as a whole, until all has left.

    :return: how often what was killed
    """
    kills, server = Counter(), Server(args, size.workers)
    server.start()
    try:
        kill_at_random(args, random.Random(seed), size, kills, server)
    finally:
        server.kill()
    return kills


def kill_at_random(args, dice, size, kills, server):
    cluster = Cluster()

    def kill_server():
        server.kill()
        server.start()

    def kill_database():
        cluster.restart(dice.uniform(0, 1))
        odoo.sql_db.close_all()

    #: {what: (how, seconds between two times)}
    ways = {
        "worker": (lambda: server.kill_worker(dice), (0.5, 4)),
        "server": (kill_server, (20, 40)),
        "database": (kill_database, (20, 40)),
    }
    started = time.monotonic()
    moments = {what: started + dice.uniform(4, 20) for what in ways}
    while sum(kills.values()) < size.kills or not is_over(args.database):
        if time.monotonic() > started + size.timeout:
            raise SystemExit(f"Stuck after {kills}")
        for what, (how, seconds) in ways.items():
            if time.monotonic() > moments[what] and how() is not False:
                kills[what] += 1
                pause = dice.uniform(*seconds)
                # Enough is enough: what is left shall come to its end.
                pause *= 1 if sum(kills.values()) < size.kills else 4
                moments[what] = time.monotonic() + pause
        hurry(args.database, dice)
        time.sleep(0.2)


# --- scenes ---------------------------------------------------------------------------


def neutralized(args):
    """Everything is queued; a copy is made and neutralized; its crons send nothing.

    :return: the problems
    """
    copy = f"{args.database}_copy"
    with inbox(args.folder) as smtp_port:
        with environment(args.database) as env:
            invoice_ids = set_up(env, smtp_port, 100)
        for name in ("reconcile", "run"):
            run_cron(args.database, name)
        queued = count_queued(args.database)
        copy_database(args.database, copy)
        subprocess.run(
            [sys.executable, "-m", "odoo", "neutralize", "-c", args.config, "-d", copy]
            + [f"--logfile={args.folder / 'neutralize.log'}"],
            check=True,
        )
        with environment(copy) as env:
            # Somebody gives the copy its mail server back, to try something out.
            servers = env["ir.mail_server"].with_context(active_test=False)
            servers.search([("smtp_port", "=", smtp_port)]).active = True
            left = env["dunning.reminder"].search_count([("state", "=", "queued")])
        for name in (*CRONS, "recover") * 2:
            run_cron(copy, name)
        with environment(copy) as env:
            env["mail.mail"].process_email_queue()
        drop_database(copy)
        sent = len(list((args.folder / "mails").glob("*.eml")))
        finish(args.database)
    mails = len(list((args.folder / "mails").glob("*.eml")))
    figures = (
        f"{queued} queued, {left} in the neutralized copy, which sent {sent}; "
        f"the database itself: {mails - sent}"
    )
    print(figures)
    expected = (len(invoice_ids), 0, 0, len(invoice_ids))
    return [figures] if (queued, left, sent, mails) != expected else []


def forked(args, size=FORKED):
    """Workers of our own, which die at the worst moments."""
    return live_and_judge(
        args,
        size,
        lambda: live_forked(args.database, args.seed, size),
        LOST_DATABASE if size.cuts else (),
    )


def servers(args):
    """Odoo's own workers; the server and the database die, too."""
    return live_and_judge(
        args, SERVERS, lambda: live_servers(args, args.seed, SERVERS), LOST_DATABASE
    )


def live_and_judge(args, size, live, excused):
    """Set up, live, let everything end, and hold all against all.

    :param live: returns how often what was killed
    :param excused: see `get_failed_jobs`
    :return: the problems
    """
    ledger = args.folder / "ledger"
    with inbox(args.folder, size.slow) as smtp_port:
        with environment(args.database) as env:
            invoice_ids = set_up(env, smtp_port, size.customers)
        Registry(args.database).check_signaling()
        payers = min(size.customers // 6, 300)
        paying = random.Random(args.seed).sample(invoice_ids, payers)
        payer = fork(pay, args.database, paying, ledger, size.pause)
        kills = live()
        os.waitpid(payer, 0)
        finish(args.database)
        problems = judge(args, (args.folder / "mails", ledger), invoice_ids)
    print(f"Killed: {sum(kills.values())}, {dict(kills)}")
    for log in args.folder.glob("*.log"):
        problems += get_failed_jobs(log, excused)
    return problems


# --- main -----------------------------------------------------------------------------


def main():
    started = time.monotonic()
    args = parse_arguments("Kill workers at any moment.", short="for every day")
    if args.short:
        problems = forked(args, SHORT)
    else:
        problems = []
        for scene in (neutralized, forked, servers):
            problems += play(args, scene)
    end(problems, started)


if __name__ == "__main__":
    main()
