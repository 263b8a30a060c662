"""Two machines, one database, a job queue; workers and machines die.

    python -m dev.torture_queue ODOO.CONF DATABASE [--seed N]

Odoo's own prefork servers with OCA's job runner, on two machines that share nothing but
the database and the files, and a load balancer in front of them (see dev/machines.py).
Each chunk of the day's work is a job. Workers are killed with SIGKILL, by a clock and
by themselves just where it hurts most; machines, too; cables are pulled; customers pay.

- jobs: goes on until the jobs have done everything, without any help;
- uninstalled: in the middle of it everything is killed and the addon uninstalled. The
  crons must find what is left to do.

queue_job has to be on PYTHONPATH (dev/queue_job.sh).
"""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter

import psutil

from odoo import fields
from odoo.modules.registry import Registry
from odoo.tools import config

from dev.machines import Network
from dev.torture_lib import (
    Outcome,
    copy_database,
    count_queued,
    drop_database,
    end,
    environment,
    finish,
    fork,
    get_failed_jobs,
    inbox,
    is_written,
    parse_arguments,
    pay,
    set_up,
)

ADDON = "dunning_sequences_queue_job"

MACHINES = 2
WORKERS = 3  # of each machine
CHANNELS = "root:5,root.dunning:4"

CUSTOMERS = 400
KILLS = 15
#: Of the second scene, which ends by crons: it has to be torn away half done.
FEW_CUSTOMERS = 150
#: Seconds. Nothing should take as long.
TIMEOUT = 900

#: How likely a worker kills itself at each of the moments below, for each mail.
DEADLY = 0.006


# --- servers --------------------------------------------------------------------------


class Server:
    """An Odoo server on a machine: the master process, and its workers."""

    def __init__(self, machine, network, args):
        self.machine, self.network, self.args = machine, network, args
        self.process = None

    def start(self):
        network, machine = self.network, self.machine
        environ = {
            **os.environ,
            "ODOO_QUEUE_JOB_CHANNELS": CHANNELS,
            # Else a runner only asks its own machine.
            "ODOO_QUEUE_JOB_HOST": network.hub,
            "ODOO_QUEUE_JOB_PORT": str(network.balancer_port),
        }
        command = [
            *machine.prefix,
            *(sys.executable, "-m", "dev.torture_queue", "--serve"),
            *("-c", self.args.config, "-d", self.args.database),
            f"--db_host={network.hub}",
            f"--db_port={network.database_port}",
            "--load=base,web,queue_job",
            f"--workers={WORKERS}",
            "--max-cron-threads=1",
            f"--http-interface={machine.host}",
            f"--http-port={machine.port}",
            f"--gevent-port={machine.port + 3}",
            "--log-level=warn",
            f"--logfile={self.args.folder / f'odoo-{machine.number}.log'}",
        ]
        self.process = subprocess.Popen(
            command, env=environ, start_new_session=True, stderr=subprocess.DEVNULL
        )

    def get_workers(self):
        """Its processes but the master, which would stop with them."""
        with contextlib.suppress(psutil.Error):
            return psutil.Process(self.process.pid).children(recursive=True)
        return []

    def supervise(self):
        """As systemd does: start it again when it has ended.

        Odoo's master process ends when it cannot reach its database.
        """
        ended = self.process.poll() is not None
        if ended:
            self.kill()
            self.start()
        return ended

    def kill(self):
        """The power fails."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def serve(arguments):
    """Odoo's command line, in which workers kill themselves now and then."""
    config.parse_config(arguments)
    from odoo.addons.dunning_sequences.models.dunning_attempt import DunningAttempt
    from odoo.addons.dunning_sequences.models.hand_over import DunningReminder

    def deadly(model, name, before):
        function = getattr(model, name)

        def dying(*args, **kwargs):
            if before and random.random() < DEADLY:
                os.kill(os.getpid(), signal.SIGKILL)
            result = function(*args, **kwargs)
            if not before and random.random() < DEADLY:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        for attribute in ("_api_model", "_api_private"):
            if hasattr(function, attribute):
                setattr(dying, attribute, getattr(function, attribute))
        setattr(model, name, dying)

    # leased, and nothing was said; the text was said, the journal has not got it
    deadly(DunningReminder, "_hand_over", before=True)
    deadly(DunningAttempt, "_write_ahead", before=True)
    # the journal has it, the dot was not sent
    deadly(DunningAttempt, "_write_ahead", before=False)
    # the server took it, nothing is written; all is written, nothing is committed
    deadly(DunningReminder, "_register_sent", before=True)
    deadly(DunningReminder, "_register_sent", before=False)

    import odoo.cli

    sys.argv = ["odoo", "server", *arguments]
    odoo.cli.main()


# --- what happens ---------------------------------------------------------------------


def run_odoo(args, *more):
    subprocess.run(
        [sys.executable, "-m", "odoo", "server", "-c", args.config]
        + ["-d", args.database, "--stop-after-init", "--no-http"]
        + ["--log-level=error", *more],
        check=True,
    )


def trigger(database):
    """As if an hour had passed."""
    with environment(database) as env:
        for name in ("reconcile", "run", "send", "send_2", "recover"):
            env.ref(f"dunning_sequences.ir_cron_dunning_{name}")._trigger()
        env.cr.commit()


def count_jobs(database):
    with environment(database) as env:
        groups = env["queue.job"]._read_group(
            [("model_name", "=like", "dunning.%")],
            ["method_name", "state"],
            ["__count", "retry:sum"],
        )
    return groups


def live(args, network, customers, kills_wanted, is_over, seed):
    """Machines work and die until it is over; return how often what died."""
    dice, kills, struck = random.Random(seed), Counter(), 0
    servers = [Server(machine, network, args) for machine in network.machines]
    deadline = time.monotonic() + TIMEOUT
    next_hour = next_kill = time.monotonic() + 15  # a server needs some seconds
    for server in servers:
        server.start()
    try:
        while not is_over() or struck < kills_wanted:
            if time.monotonic() > deadline:
                raise SystemExit(
                    f"Stuck: {kills}, {count_jobs(args.database)}, "
                    f"{count_queued(args.database)} queued"
                )
            if time.monotonic() > next_hour:
                trigger(args.database)
                next_hour = time.monotonic() + 8
            if time.monotonic() > next_kill and struck < kills_wanted:
                kills[strike(dice, servers)] += 1
                struck += 1
                next_kill = time.monotonic() + dice.uniform(1, 4)
            for server in servers:
                kills["servers ended by themselves"] += server.supervise()
            time.sleep(0.5)
    finally:
        for server in servers:
            server.kill()
    return +kills


def strike(dice, servers):
    """Kill something; return what."""
    server = dice.choice(servers)
    what = dice.choices(("worker", "machine", "cable"), (8, 1, 1))[0]
    if what == "worker":
        workers = server.get_workers()
        if workers:
            with contextlib.suppress(psutil.Error):
                dice.choice(workers).kill()
        return "workers killed"
    if what == "machine":
        server.kill()
        server.start()
        return "machines killed"
    server.machine.plug(False)
    time.sleep(3)
    server.machine.plug(True)
    return "cables pulled"


# --- scenes ---------------------------------------------------------------------------


@contextlib.contextmanager
def prepared(args, customers, name):
    """An inbox, a network, and customers who are due."""
    folder = args.folder / name
    folder.mkdir()
    with inbox(folder, slow=20) as smtp_port:
        socket_path = f"{config['db_host']}/.s.PGSQL.{config['db_port']}"
        with Network(MACHINES, socket_path, smtp_port) as network:
            with environment(args.database) as env:
                invoice_ids = set_up(env, network.smtp_port, customers)
                env["ir.mail_server"].search([]).smtp_host = network.hub
                env.cr.commit()
            Registry(args.database).check_signaling()
            yield folder, network, invoice_ids


def judge(args, folder, invoice_ids, ledger=None):
    outcome = Outcome(folder / "mails", ledger)
    with environment(args.database) as env:
        problems = list(outcome.get_problems(env, invoice_ids))
    outcome.tell()
    return problems


def jobs(args):
    """All by jobs."""
    with prepared(args, CUSTOMERS, "jobs") as (folder, network, invoice_ids):
        where = "two network namespaces" if network.own else "two ports"
        print(f"{CUSTOMERS} customers; {MACHINES} machines in {where}", flush=True)
        ledger = folder / "ledger"
        paying = random.Random(args.seed).sample(invoice_ids, CUSTOMERS // 10)
        payer = fork(pay, args.database, paying, ledger, 0.5)

        def is_over():
            return is_written(args.database) and not count_queued(args.database)

        started = time.monotonic()
        kills = live(args, network, CUSTOMERS, KILLS, is_over, args.seed)
        print(f"Done after {time.monotonic() - started:.0f} s: {dict(kills)}")
        print(f"Jobs given to each machine: {list(network.chosen)}")
        os.waitpid(payer, 0)
        with environment(args.database) as env:
            env["dunning.reminder"]._recover(
                fields.Datetime.add(fields.Datetime.now(), hours=1)
            )
            env.cr.commit()
        for method, state, count, retries in count_jobs(args.database):
            print(f"  {method:25} {state:10} {count:4}, tried again {retries or 0}")
        problems = judge(args, folder, invoice_ids, ledger)
    return problems + list(get_problems_of_jobs(args))


def get_problems_of_jobs(args):
    for method, state, count, _retries in count_jobs(args.database):
        if state == "failed":
            yield f"{count} jobs {method} failed"
    for log in sorted(args.folder.glob("odoo-*.log")):
        yield from get_failed_jobs(log, ("OperationalError", "InterfaceError"))


def uninstalled(args):
    """Half by jobs; then the addon goes, with jobs in the queue."""
    with prepared(args, FEW_CUSTOMERS, "uninstalled") as (folder, network, ids):

        def is_over():
            return len(list((folder / "mails").glob("*.eml"))) > FEW_CUSTOMERS / 3

        live(args, network, FEW_CUSTOMERS, 0, is_over, args.seed)
        trigger(args.database)
        print(f"Torn away after {len(list((folder / 'mails').glob('*.eml')))} mails")
        uninstall(args)
        with environment(args.database) as env:
            waiting = env["queue.job"].search_count(
                [("state", "not in", ("done", "cancelled"))]
            )
        finish(args.database)
        problems = judge(args, folder, ids)
    if waiting:
        problems.append(f"{waiting} jobs wait for an addon that is gone")
    return problems


def uninstall(args):
    code = (
        f"env['ir.module.module']._get('{ADDON}').button_immediate_uninstall()\n"
        f"print(env['ir.module.module']._get('{ADDON}').state)\n"
    )
    subprocess.run(
        [sys.executable, "-m", "odoo", "shell", "-c", args.config]
        + ["-d", args.database, "--no-http", "--log-level=error"],
        input=code,
        text=True,
        check=True,
        stderr=subprocess.DEVNULL,
    )
    Registry.delete(args.database)


def main():
    if sys.argv[1:2] == ["--serve"]:
        serve(sys.argv[2:])
        return
    started = time.monotonic()
    args = parse_arguments("Two machines, one database, a job queue.")
    run_odoo(args, "-i", "queue_job")
    with environment(args.database) as env:
        if env["ir.module.module"]._get(ADDON).state != "installed":
            raise SystemExit(f"{ADDON} did not install itself beside queue_job.")
    original, problems = args.database, []
    for scene in (jobs, uninstalled):
        print(f"--- {scene.__name__}", flush=True)
        args.database = f"{original}_{scene.__name__}"
        copy_database(original, args.database)
        problems += scene(args)
        drop_database(args.database)
    end(problems, started)


if __name__ == "__main__":
    main()
