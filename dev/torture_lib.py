"""What the parts of `make torture` share.

Processes that can be killed, many invoices at once, a mail server, customers who pay,
and what came out: the mails that arrived, held against reminders and journal.

A part is a module `dev.torture_PART` with a `main()`, run as

    python -m dev.torture_PART ODOO.CONF DATABASE [--seed N]

on a database in which the addon is installed and nothing else has happened; what the
part does to it stays. It prints its figures and its problems; exit code 1 if there are
any.
"""

import argparse
import contextlib
import ctypes
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path

import psycopg2

import odoo
from odoo import SUPERUSER_ID, Command, api, fields
from odoo.modules.registry import Registry
from odoo.service.model import retrying
from odoo.tests import new_test_user
from odoo.tools import SQL, config
from odoo.tools.safe_eval import safe_eval

from dev.inbox import Mail

CRONS = ("reconcile", "run", "send", "send_2")

#: Of prctl(2): the signal that a process gets when its parent ends.
PR_SET_PDEATHSIG = 1

#: What each of the invoices amounts to.
AMOUNT = 100

STEP = {
    "name": "S1",
    "delay": 7,
    "content": "text",
    "subject": "Invoice {{ invoice_number }}.",
    "body": "<p>{{ amount_due }}</p>",
}

#: Seconds of one SMTP transaction on a busy machine. Who pays in them is reminded all
#: the same: what was asked before the text cannot be asked again after the dot.
ONE_MAIL = 1


# --- the part -------------------------------------------------------------------------


def parse_arguments(description, **more):
    """Read the command line, and make Odoo ready in this process.

    :param more: flags of this part, {name: help}
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("config")
    parser.add_argument("database")
    parser.add_argument("--seed", type=int, default=1)
    for name, text in more.items():
        parser.add_argument(f"--{name}", action="store_true", help=text)
    args = parser.parse_args()
    # Ended from outside, what was started ends, too.
    signal.signal(signal.SIGTERM, lambda *_args: sys.exit(1))
    args.folder = Path(tempfile.mkdtemp(prefix="torture-"))
    args.log = args.folder / "odoo.log"
    config.parse_config(
        ["-c", args.config, "-d", args.database]
        + ["--log-level=error", f"--logfile={args.log}"]
    )
    return args


def end(problems, started):
    """Say what is wrong, if anything is, and end the process."""
    for problem in problems[:50]:
        print("PROBLEM", problem)
    if len(problems) > 50:
        print(f"… and {len(problems) - 50} more")
    print(f"{len(problems)} problems; {time.monotonic() - started:.0f} s")
    sys.exit(bool(problems))


def play(args, scene):
    """A scene has its own copy of the database, folder and log.

    :return: the problems
    """
    started = time.monotonic()
    args = argparse.Namespace(**vars(args))
    args.database, source = f"{args.database}_{scene.__name__}", args.database
    args.folder = args.folder / scene.__name__
    args.folder.mkdir()
    print(f"--- {scene.__name__}, seed {args.seed}", flush=True)
    copy_database(source, args.database)
    try:
        problems = scene(args)
    finally:
        drop_database(args.database)
    seconds = time.monotonic() - started
    print(f"{len(problems)} problems, {seconds:.0f} s", flush=True)
    return [f"{scene.__name__}: {problem}" for problem in problems]


@contextlib.contextmanager
def environment(database, user_id=SUPERUSER_ID):
    with Registry(database).cursor() as cr:
        yield api.Environment(cr, user_id, {})


def get_debian(package):
    """Return where an unpacked package lies, None where there is none (it says why)."""
    script = Path(__file__).with_name("get_debian")
    result = subprocess.run([script, package], stdout=subprocess.PIPE, text=True)
    if result.returncode == 3:
        return None
    result.check_returncode()
    return result.stdout.strip()


# --- databases ------------------------------------------------------------------------


def connect(database):
    """A connection that Odoo knows nothing of; `with` closes it."""
    return contextlib.closing(
        psycopg2.connect(
            host=config["db_host"],
            port=config["db_port"],
            user=config["db_user"],
            dbname=database,
        )
    )


def copy_database(source, target):
    """With its files, which PostgreSQL knows nothing of."""
    drop_database(target)
    with connect("postgres") as connection, connection.cursor() as cr:
        connection.autocommit = True
        cr.execute(f'CREATE DATABASE "{target}" TEMPLATE "{source}"')
        # Without it PostgreSQL 15 takes up to 32 steps of a sequence back in a crash
        # that follows: the copied page claims that they were logged.
        cr.execute("CHECKPOINT")
    files = Path(config.filestore(source))
    if files.exists():
        shutil.copytree(files, config.filestore(target), dirs_exist_ok=True)


def drop_database(name):
    odoo.sql_db.close_all()
    Registry.delete(name)
    with connect("postgres") as connection, connection.cursor() as cr:
        connection.autocommit = True
        cr.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
    shutil.rmtree(config.filestore(name), ignore_errors=True)


# --- processes ------------------------------------------------------------------------


def fork(function, *args):
    """Run a function in a process of its own, which does not outlive this one.

    :return: the process's id
    """
    odoo.sql_db.close_all()  # connections cannot be shared
    sys.stdout.flush()
    process_id = os.fork()
    if process_id:
        return process_id
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    status = 1
    try:
        function(*args)
        status = 0
    except Exception:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(status)


def kill(process_id):
    with contextlib.suppress(ProcessLookupError):
        os.kill(process_id, signal.SIGKILL)
    os.waitpid(process_id, 0)


class Cluster:
    """The PostgreSQL of `dev/torture`, which can be killed."""

    @staticmethod
    def _control(*args):
        command = [os.environ["TORTURE_PG_CTL"], "-D", os.environ["TORTURE_PGDATA"]]
        if os.getuid() == 0:
            command = ["runuser", "-u", "postgres", "--", *command]
        subprocess.run(
            [*command, "-s", *args],
            cwd="/",
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def restart(self, pause=0):
        """As after a power cut: nothing is finished, what was committed is there."""
        self._control("stop", "-m", "immediate")
        time.sleep(pause)
        options = f"-k '{config['db_host']}' -c listen_addresses=''"
        log = Path(os.environ["TORTURE_PGDATA"]).parent / "postgresql.log"
        self._control("start", "-w", "-t", "120", "-l", str(log), "-o", options)


@contextlib.contextmanager
def inbox(folder, slow=0):
    """The mail server: a process of its own, which nobody kills.

    :param slow: up to so many milliseconds pass before and after it keeps a mail
    """
    process, port = start_inbox(folder, slow)
    try:
        yield port
    finally:
        process.terminate()
        process.wait()


def start_inbox(folder, slow=0, port=0):
    """Return (process, port) of a mail server that keeps its mails in a folder."""
    ready = folder / "ready"
    ready.unlink(missing_ok=True)
    process = subprocess.Popen(
        [sys.executable, "-m", "dev.inbox", folder / "mails", "--ready-file", ready]
        + ["--slow", str(slow), "--smtp-port", str(port)],
        stdout=subprocess.DEVNULL,
    )
    while not ready.exists():
        if process.poll() is not None:
            raise SystemExit("The inbox does not start.")
        time.sleep(0.02)
    return process, json.loads(ready.read_text())["smtp_port"]


# --- what there is --------------------------------------------------------------------


def set_up(env, smtp_port, customers):
    """Many customers who have been due for a week, and a sequence that starts today.

    :return: the ids of the invoices
    """
    set_up_company(env, smtp_port)
    invoice_ids = set_up_invoices(env, customers)
    set_up_sequence(env)
    return invoice_ids


def set_up_company(env, smtp_port):
    """A company that reminds at any hour, and a mail server."""
    env.company.write(
        {
            "email": "company@torture.example.com",
            "dunning_tz": "UTC",
            "dunning_hour_from": 0,
            "dunning_hour_to": 24,
        }
    )
    set_up_mail_server(env, smtp_port)


def set_up_mail_server(env, smtp_port, **vals):
    env["ir.mail_server"].search([]).active = False
    return env["ir.mail_server"].create(
        {
            "name": "Inbox",
            "smtp_host": "127.0.0.1",
            "smtp_port": smtp_port,
            "smtp_encryption": "none",
            "from_filter": "torture.example.com",
            **vals,
        }
    )


def set_up_invoices(env, count):
    """One a customer: the first as a person makes it, the others as its copies."""
    customer = env["res.partner"].create(
        {"name": "C0", "email": "c0@customer.example.com"}
    )
    due = fields.Date.today() - timedelta(days=7)
    work = {"name": "Work", "price_unit": AMOUNT, "tax_ids": [Command.clear()]}
    invoice = env["account.move"].create(
        {
            "move_type": "out_invoice",
            "partner_id": customer.id,
            "invoice_date": due - timedelta(days=30),
            "invoice_date_due": due,
            "invoice_payment_term_id": False,
            "invoice_line_ids": [Command.create(work)],
        }
    )
    invoice.action_post()
    env.flush_all()
    env.cr.execute(
        "CREATE TEMP TABLE copies AS SELECT n, nextval('res_partner_id_seq') AS"
        " partner_id, nextval('account_move_id_seq') AS move_id"
        " FROM generate_series(1, %s) n",
        [count - 1],
    )
    copy_customers(env, customer)
    copy_invoice(env, invoice)
    env.cr.execute("SELECT move_id FROM copies ORDER BY n")
    move_ids = [invoice.id] + [move_id for (move_id,) in env.cr.fetchall()]
    env.cr.execute("DROP TABLE copies")
    env.cr.execute("ANALYZE")
    env.invalidate_all()
    return move_ids


def copy_customers(env, customer):
    email = "'c' || n || '@customer.example.com'"
    copy_rows(
        env,
        customer,
        id="partner_id",
        commercial_partner_id="partner_id",
        name="'C' || n",
        complete_name="'C' || n",
        email=email,
        email_normalized=email,
    )


def copy_invoice(env, invoice):
    copy_rows(
        env,
        invoice,
        id="move_id",
        partner_id="copies.partner_id",
        commercial_partner_id="copies.partner_id",
        partner_shipping_id="copies.partner_id",
        name="name || '-' || n",
        payment_reference="name || '-' || n",
        access_token="NULL",
        invoice_partner_display_name="'C' || n",
    )
    copy_rows(
        env,
        invoice.line_ids,
        id="nextval('account_move_line_id_seq')",
        move_id="copies.move_id",
        partner_id="copies.partner_id",
        move_name="move_name || '-' || n",
        matching_number="NULL",
    )


def copy_rows(env, records, **changes):
    """Copy rows as they are, but for some columns: {column: SQL with `copies`}."""
    env.cr.execute(
        "SELECT column_name FROM information_schema.columns WHERE table_name = %s"
        " AND is_generated = 'NEVER'",
        [records._table],
    )
    names = [name for (name,) in env.cr.fetchall()]
    values = [
        SQL(changes[name]) if name in changes else SQL.identifier("original", name)
        for name in names
    ]
    env.cr.execute(
        SQL(
            "INSERT INTO %s (%s) SELECT %s FROM %s original, copies"
            " WHERE original.id = ANY(%s)",
            SQL.identifier(records._table),
            SQL(", ").join(map(SQL.identifier, names)),
            SQL(", ").join(values),
            SQL.identifier(records._table),
            records.ids,
        )
    )


def set_up_sequence(env, **vals):
    """One step, due today, for everybody."""
    sequence = env["dunning.sequence"].create(
        {
            "name": "Torture",
            "company_id": env.company.id,
            "user_id": False,
            "catch_up": "first",
            "step_ids": [Command.create(STEP)],
            **vals,
        }
    )
    sequence.action_start()
    env.company.dunning_sequence_id = sequence
    return sequence


# --- what happens ---------------------------------------------------------------------


def run_cron(database, name):
    """As `ir.cron` does it, but without asking whether it is time."""
    registry = Registry(database)
    with registry.cursor() as cr:
        env = api.Environment(cr, SUPERUSER_ID, {})
        cron = env.ref(f"dunning_sequences.ir_cron_dunning_{name}")
        try:
            job = cron._acquire_one_job(cr, cron.id, include_not_ready=True)
            if job:
                type(cron)._process_job(cr, job)
            else:
                time.sleep(0.02)
        except psycopg2.errors.SerializationFailure:
            cr.rollback()


def pay(database, invoice_ids, ledger, pause):
    """Customers pay, one after the other; note when each payment was committed."""
    for invoice_id in invoice_ids:
        while True:
            try:
                register_payment(database, invoice_id)
                break
            except psycopg2.Error:  # the server is being restarted: pay again
                time.sleep(0.5)
        with ledger.open("a") as file:
            file.write(f"{invoice_id} {datetime.utcnow().timestamp()}\n")
        time.sleep(pause)


def register_payment(database, invoice_id):
    with environment(database) as env:

        def register():
            invoice = env["account.move"].browse(invoice_id)
            if invoice.payment_state != "not_paid":
                return  # the answer to the first commit was lost
            wizard = env["account.payment.register"].with_context(
                active_model="account.move", active_ids=[invoice_id]
            )
            wizard.create({})._create_payments()

        retrying(register, env)
        env.cr.commit()


def is_written(database):
    """Has each customer got his reminder written, or paid?"""
    with environment(database) as env:
        groups = env["dunning.enrollment"]._read_group(
            [("sequence_id.name", "=", "Torture")], ["state"]
        )
        states = {state for (state,) in groups}
    return bool(states) and "running" not in states


def count_queued(database):
    """Those that can leave: without what `_recover` will find."""
    with environment(database) as env:
        env.cr.execute(
            """
            SELECT COUNT(*) FROM dunning_reminder reminder WHERE state = 'queued'
               AND NOT EXISTS (SELECT 1 FROM dunning_attempt attempt
                                WHERE attempt.message_id = reminder.message_id
                                  AND attempt.attempt = reminder.attempt + 1)
            """
        )
        return env.cr.fetchone()[0]


def is_over(database):
    with contextlib.suppress(psycopg2.Error):
        return is_written(database) and not count_queued(database)
    return False


def hurry(database, dice):
    """Let time fly: crons are due now, and what waits for an outage waits no more."""
    with contextlib.suppress(psycopg2.Error):
        with connect(database) as connection, connection.cursor() as cr:
            cr.execute(
                """
                UPDATE ir_cron SET nextcall = now() AT TIME ZONE 'UTC' WHERE id IN (
                    SELECT cron.id FROM ir_cron cron JOIN ir_model_data data
                        ON data.model = 'ir.cron' AND data.res_id = cron.id
                     WHERE data.module = 'dunning_sequences' AND data.name IN %s
                       FOR NO KEY UPDATE OF cron SKIP LOCKED)
                """,
                [tuple(f"ir_cron_dunning_{name}" for name in dice.sample(CRONS, 2))],
            )
            cr.execute(
                """
                UPDATE dunning_reminder SET next_try = NULL WHERE id IN (
                    SELECT id FROM dunning_reminder
                     WHERE state = 'queued' AND next_try IS NOT NULL
                       FOR NO KEY UPDATE SKIP LOCKED)
                """
            )
            connection.commit()
        with connect("postgres") as connection, connection.cursor() as cr:
            cr.execute("SELECT pg_notify('cron_trigger', %s)", [database])
            connection.commit()


def finish(database):
    """Nobody dies any more: what is left is sent, what is unknown is found."""
    with environment(database) as env:
        # They waited for an outage, or for a worker who died: it is over.
        env.cr.execute(
            "UPDATE dunning_reminder SET next_try = NULL, leased_until = NULL"
        )
        env.cr.commit()
    for _round in range(200):
        for name in CRONS:
            run_cron(database, name)
        if not count_queued(database) and is_written(database):
            break
    with environment(database) as env:
        env["dunning.reminder"]._recover(fields.Datetime.now() + timedelta(hours=1))
    for name in CRONS:
        run_cron(database, name)


# --- what came out --------------------------------------------------------------------


def get_failed_jobs(log, excused=()):
    """Yield the crons that failed; that their worker was killed is no failure.

    :param excused: names of exceptions that are what the part has caused
    """
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    failed, reasons = Counter(), Counter()
    job = None
    for line in lines:
        found = re.search(r"Job '(.*?)'.*server action.*failed", line)
        if found:
            job = found.group(1)
        elif job and re.match(r"[\w.]+(Error|Exception|Failure|Shutdown)\b", line):
            name = line.partition(":")[0]
            if name.rpartition(".")[2] not in excused:
                failed[job] += 1
                reasons[line] += 1
            job = None
    for name, times in failed.items():
        yield f"the cron “{name}” failed {times} times"
    if failed:
        yield f"because: {dict(reasons)}"


class Outcome:
    """What arrived and when, held against what the database says."""

    def __init__(self, folder, ledger=None):
        self.mails = [Mail(path) for path in sorted(folder.glob("*.eml"))]
        self.arrived = Counter(mail.header("Message-Id").strip() for mail in self.mails)
        # Both clocks are UTC.
        self.arrived_at = {
            mail.header("Message-Id").strip(): datetime.strptime(
                mail.path.stem[:22], "%Y%m%d-%H%M%S-%f"
            ).timestamp()
            for mail in self.mails
        }
        self.paid_at = {}
        if ledger and ledger.exists():
            for line in ledger.read_text().splitlines():
                invoice_id, moment = line.split()
                self.paid_at[int(invoice_id)] = float(moment)
        self.states = Counter()
        self.lost = self.just_paid = 0

    def get_problems(self, env, invoice_ids):
        self.states.clear()
        yield from self.get_duplicates()
        yield from self.get_strangers(env)
        for invoice in env["account.move"].browse(invoice_ids):
            yield from self.get_problems_of(invoice)

    def get_duplicates(self):
        for message_id, times in self.arrived.items():
            if times > 1:
                yield f"{message_id} arrived {times} times"
        recipients = Counter(tuple(mail.recipients) for mail in self.mails)
        for recipient, times in recipients.items():
            if times > 1:
                yield f"{recipient} got {times} mails"

    def get_strangers(self, env):
        """Mails of which the database does not know what it should."""
        arrived = set(self.arrived)
        reminders = env["dunning.reminder"].search([])
        void = reminders.filtered(lambda r: r.state in ("cancelled", "failed"))
        journal = env["dunning.attempt"].search([])
        for message_id in arrived - set(reminders.mapped("message_id")):
            yield f"{message_id} arrived, but nobody knows of it"
        for message_id in arrived & set(void.mapped("message_id")):
            yield f"{message_id} arrived, but was cancelled"
        for message_id in arrived - set(journal.mapped("message_id")):
            yield f"{message_id} arrived, but is not in the journal"

    def get_problems_of(self, invoice):
        lines = invoice.dunning_reminder_line_ids.filtered("counts")
        self.states.update(lines.reminder_id.mapped("state") or ["not reminded"])
        if len(lines) > 1:
            yield f"{invoice.name}: {len(lines)} reminders count"
        if not lines and invoice.id not in self.paid_at:
            self.lost += 1
            yield f"{invoice.name}: not reminded"
        for reminder in lines.reminder_id:
            if reminder.state not in ("sent", "doubtful"):
                self.lost += 1
                yield f"{invoice.name}: still {reminder.state}"
            if reminder.state == "sent" and reminder.message_id not in self.arrived:
                self.lost += 1
                yield f"{invoice.name}: sent, but never arrived"
            arrived_at = self.arrived_at.get(reminder.message_id, 0)
            late = arrived_at - self.paid_at.get(invoice.id, float("inf"))
            self.just_paid += 0 < late <= ONE_MAIL
            if late > ONE_MAIL:
                yield f"{invoice.name}: reminded {late:.1f} s after it was paid"

    def tell(self):
        states = sorted(self.states.items())
        print(
            f"{len(self.mails)} mails arrived, {len(self.arrived)} distinct, "
            f"{self.lost} lost; {len(self.paid_at)} invoices were paid, "
            f"{self.just_paid} of them while their mail was being sent"
        )
        print("Reminders:", ", ".join(f"{number} {state}" for state, number in states))


# --- what is left for a person --------------------------------------------------------


def decide(env, outcome):
    """A person with billing rights finds each doubtful one in the work list, and
    says of each what became of it.

    :return: (reminders that had arrived, those that had not), and what is wrong
    """
    doubtful = env["dunning.reminder"].search([("state", "=", "doubtful")])
    user = new_test_user(
        env(context={"no_reset_password": True}),  # no mail to him
        login="torture_billing",
        groups="base.group_user,account.group_account_invoice",
        company_id=env.company.id,
        company_ids=[Command.set(env.company.ids)],
    )
    doubtful = doubtful.with_user(user)
    problems = []
    action = env.ref("dunning_sequences.dunning_enrollment_action_todo")
    listed = env["dunning.enrollment"].with_user(user).search(safe_eval(action.domain))
    missing = doubtful - listed.reminder_id
    problems += [
        f"{r.message_id} is doubtful and not in the work list" for r in missing
    ]
    form = env["dunning.reminder"].with_user(user).get_view(view_type="form")["arch"]
    for name in ("action_confirm_sent", "action_retry"):
        if f'name="{name}"' not in form:
            problems.append(f"a billing user has no button {name}")
    here = doubtful.filtered(lambda r: r.message_id in outcome.arrived)
    gone = doubtful - here
    if here:
        here.action_confirm_sent()
    if gone:
        gone.action_retry()
    return len(here), len(gone), problems


def judge(args, outcome_args, invoice_ids):
    """Hold all against all, before and after a person decided about the doubtful.

    :return: the problems
    """
    outcome = Outcome(*outcome_args)
    with environment(args.database) as env:
        problems = list(outcome.get_problems(env, invoice_ids))
        outcome.tell()
        here, gone, wrong = decide(env, outcome)
        problems += wrong
    print(f"Doubtful: {here} had arrived, {gone} had not and were sent again")
    finish(args.database)
    outcome = Outcome(*outcome_args)
    with environment(args.database) as env:
        for problem in outcome.get_problems(env, invoice_ids):
            problems.append(f"after a person decided: {problem}")
    left = outcome.states["doubtful"]
    if left:
        problems.append(f"{left} are doubtful, and a person decided about all")
    return problems
