"""Kill workers at any moment: no reminder is lost and none is sent twice.

    python -m dev.crash_test ODOO.CONF DATABASE

DATABASE is a copy of one in which the addon is installed; what happens in it stays.
Real processes run the real crons, all at once, and are killed with SIGKILL: some by
a clock, some by themselves just where it hurts most. Meanwhile customers pay. Then
the mails that arrived are held against the reminders and the journal.

This cannot be tested inside a transaction that is rolled back: it takes several
connections, and commits that a kill leaves behind.
"""

import argparse
import contextlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path
from unittest.mock import patch

import psycopg2

import odoo
from odoo import SUPERUSER_ID, Command, api, fields
from odoo.modules.registry import Registry
from odoo.service.model import retrying
from odoo.tools import config

from dev.inbox import Mail

CUSTOMERS = 160
WORKERS = 3
KILLS = 14
#: Nothing should take as long; it is a failure if it does.
TIMEOUT = 90

CRONS = ("reconcile", "run", "send", "send_2")


@contextlib.contextmanager
def environment(database, user_id=SUPERUSER_ID):
    with Registry(database).cursor() as cr:
        yield api.Environment(cr, user_id, {})


def fork(function, *args):
    """Run a function in a process of its own; return the process's id."""
    odoo.sql_db.close_all()  # connections cannot be shared
    process_id = os.fork()
    if process_id:
        return process_id
    status = 1
    try:
        function(*args)
        status = 0
    finally:
        sys.stdout.flush()
        os._exit(status)


# --- what happens ---------------------------------------------------------------


def set_up(env, smtp_port):
    """Many customers who have been due for a week, and a sequence that starts today.

    :return: the ids of the invoices
    """
    env.company.write(
        {
            "email": "company@crash.example.com",
            "dunning_tz": "UTC",
            "dunning_hour_from": 0,
            "dunning_hour_to": 24,
        }
    )
    set_up_mail_server(env, smtp_port)
    invoices = set_up_invoices(env)
    set_up_sequence(env)
    return invoices.ids


def set_up_mail_server(env, smtp_port):
    env["ir.mail_server"].search([]).active = False
    env["ir.mail_server"].create(
        {
            "name": "Inbox",
            "smtp_host": "127.0.0.1",
            "smtp_port": smtp_port,
            "smtp_encryption": "none",
            "from_filter": "crash.example.com",
        }
    )


def set_up_invoices(env):
    """One a customer."""
    customers = env["res.partner"].create(
        [
            {"name": f"C{number}", "email": f"c{number}@customer.example.com"}
            for number in range(CUSTOMERS)
        ]
    )
    due = fields.Date.today() - timedelta(days=7)
    work = {"name": "Work", "price_unit": 100, "tax_ids": [Command.clear()]}
    invoices = env["account.move"].create(
        [
            {
                "move_type": "out_invoice",
                "partner_id": customer.id,
                "invoice_date": due - timedelta(days=30),
                "invoice_date_due": due,
                "invoice_payment_term_id": False,
                "invoice_line_ids": [Command.create(work)],
            }
            for customer in customers
        ]
    )
    invoices.action_post()
    return invoices


def set_up_sequence(env):
    """One step, due today, for everybody."""
    step = {
        "name": "S1",
        "delay": 7,
        "content": "text",
        "subject": "Invoice {{ invoice_number }}.",
        "body": "<p>{{ amount_due }}</p>",
    }
    sequence = env["dunning.sequence"].create(
        {
            "name": "Crash",
            "company_id": env.company.id,
            "user_id": False,
            "catch_up": "first",
            "step_ids": [Command.create(step)],
        }
    )
    sequence.action_start()
    env.company.dunning_sequence_id = sequence


def work(database, seed, deadly):
    """Run the crons over and over, as a worker of Odoo does.

    :param deadly: die in the middle of things now and then
    """
    dice = random.Random(seed)
    with contextlib.ExitStack() as stack:
        if deadly:
            for fatal in get_fatal_moments(database, dice):
                stack.enter_context(fatal)
        while True:
            run_cron(database, dice.choice(CRONS))


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


def pay(database, invoice_ids, ledger):
    """Customers pay, one after the other; note when each payment was committed."""
    registry = Registry(database)
    for invoice_id in invoice_ids:
        with registry.cursor() as cr:
            env = api.Environment(cr, SUPERUSER_ID, {})

            def register(env=env, invoice_id=invoice_id):
                wizard = env["account.payment.register"].with_context(
                    active_model="account.move", active_ids=[invoice_id]
                )
                wizard.create({})._create_payments()

            retrying(register, env)
            cr.commit()
        with ledger.open("a") as file:
            file.write(f"{invoice_id} {datetime.utcnow().timestamp()}\n")
        time.sleep(0.15)


def kill(process_id):
    with contextlib.suppress(ProcessLookupError):
        os.kill(process_id, signal.SIGKILL)
    os.waitpid(process_id, 0)


def live(database, seed, payer):
    """Workers work, and are killed, until enough of them were and all was written.

    :return: how often a worker was killed, by the clock and by itself
    """
    dice = random.Random(seed)
    kills, ends = Counter(), {}
    deadline = time.monotonic() + TIMEOUT

    def start():
        worker = fork(work, database, dice.random(), True)
        ends[worker] = time.monotonic() + dice.uniform(0.3, 3)

    while sum(kills.values()) < KILLS or not is_written(database):
        if time.monotonic() > deadline:
            raise SystemExit(f"Stuck after {kills}")
        while len(ends) < WORKERS:
            start()
        process_id, _status = os.waitpid(-1, os.WNOHANG)
        if process_id in ends:
            kills["by itself"] += 1
            del ends[process_id]
        for worker, end in list(ends.items()):
            if time.monotonic() > end:
                kill(worker)
                kills["by the clock"] += 1
                del ends[worker]
        time.sleep(0.02)
    for worker in ends:
        kill(worker)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(payer, 0)
    return kills


def is_written(database):
    """Has each customer got his reminder written, or paid?"""
    with environment(database) as env:
        return not env["dunning.enrollment"].search_count(
            [("sequence_id.name", "=", "Crash"), ("state", "=", "running")]
        )


def finish(database):
    """Nobody dies any more: what is left is sent, what is unknown is found."""
    for _round in range(3):
        for name in CRONS:
            run_cron(database, name)
    with environment(database) as env:
        env["dunning.reminder"]._recover(fields.Datetime.now() + timedelta(hours=1))
    for name in CRONS:
        run_cron(database, name)


# --- what came out ----------------------------------------------------------------


def get_failed_jobs(log):
    """Yield the crons that failed; that their worker was killed is no failure."""
    lines = log.read_text().splitlines()
    failed = Counter(
        re.search(r"Job '(.*?)'", line).group(1)
        for line in lines
        if "server action" in line and "failed" in line
    )
    for name, times in failed.items():
        yield f"the cron “{name}” failed {times} times"
    if failed:
        reasons = {line for line in lines if line.startswith("psycopg2.errors")}
        yield f"because: {reasons}"


class Outcome:
    """What arrived and when, held against what the database says."""

    def __init__(self, folder, ledger):
        self.mails = [Mail(path) for path in sorted(folder.glob("*.eml"))]
        self.arrived = Counter(mail.header("Message-Id").strip() for mail in self.mails)
        # Both clocks are UTC.
        self.sent_at = {
            mail.header("Message-Id").strip(): datetime.strptime(
                mail.path.stem[:22], "%Y%m%d-%H%M%S-%f"
            ).timestamp()
            for mail in self.mails
        }
        self.paid_at = {}
        if ledger.exists():
            for line in ledger.read_text().splitlines():
                invoice_id, moment = line.split()
                self.paid_at[int(invoice_id)] = float(moment)
        self.states = Counter()

    def get_problems(self, env, invoice_ids):
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
            yield f"{invoice.name}: not reminded"
        for reminder in lines.reminder_id:
            if reminder.state not in ("sent", "doubtful"):
                yield f"{invoice.name}: still {reminder.state}"
            if reminder.state == "sent" and reminder.message_id not in self.arrived:
                yield f"{invoice.name}: sent, but never arrived"
            sent_at = self.sent_at.get(reminder.message_id, 0)
            if sent_at > self.paid_at.get(invoice.id, float("inf")):
                yield f"{invoice.name}: reminded after it was paid"

    def tell(self):
        states = sorted(self.states.items())
        print(
            f"{len(self.mails)} mails arrived, {len(self.paid_at)} invoices were paid"
        )
        print("Reminders:", ", ".join(f"{number} {state}" for state, number in states))


# --- main ---------------------------------------------------------------------------


@contextlib.contextmanager
def inbox(folder):
    """The mail server: a process of its own, which nobody kills."""
    ready = folder / "ready"
    process = subprocess.Popen(
        [sys.executable, "-m", "dev.inbox", folder / "mails", "--ready-file", ready],
        stdout=subprocess.DEVNULL,
    )
    try:
        while not ready.exists():
            if process.poll() is not None:
                raise SystemExit("The inbox does not start.")
            time.sleep(0.02)
        yield json.loads(ready.read_text())["smtp_port"]
    finally:
        process.terminate()
        process.wait()


def main():
    parser = argparse.ArgumentParser(description="Kill workers at any moment.")
    parser.add_argument("config")
    parser.add_argument("database")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ledger, log = folder / "ledger", folder / "log"
        config.parse_config(
            ["-c", args.config, "-d", args.database]
            + ["--log-level=error", f"--logfile={log}"]
        )
        with inbox(folder) as smtp_port:
            with environment(args.database) as env:
                invoice_ids = set_up(env, smtp_port)
            Registry(args.database).check_signaling()
            dice = random.Random(args.seed)
            paying = dice.sample(invoice_ids, CUSTOMERS // 6)
            payer = fork(pay, args.database, paying, ledger)
            kills = live(args.database, args.seed, payer)
            finish(args.database)
        outcome = Outcome(folder / "mails", ledger)
        with environment(args.database) as env:
            problems = list(outcome.get_problems(env, invoice_ids))
        problems += get_failed_jobs(log)
        outcome.tell()
    print(f"Workers killed: {dict(kills)}; {time.monotonic() - started:.0f} s")
    for problem in problems:
        print("PROBLEM", problem)
    sys.exit(bool(problems))


if __name__ == "__main__":
    main()
