"""Reminders through a real mail server, and what comes back through Odoo's gateway.

    python -m dev.torture_postfix ODOO.CONF DATABASE [--keep FOLDER]

DATABASE is a copy of one in which the addon is installed; what happens in it stays.
Odoo hands reminders to Postfix, which delivers
them, refuses them, lets them wait, or takes them and then finds that they cannot be
delivered. Its delivery reports go to the return path, and so do the answers of
customers, as their mail programs write them: Postfix pipes both to Odoo's own
odoo-mailgate.py, and that to a running Odoo.

--keep writes the delivery reports down, for the tests.
"""

import argparse
import contextlib
import os
import re
import signal
import smtplib
import socket
import subprocess
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path
from unittest.mock import patch

from odoo import SUPERUSER_ID, Command, api, fields
from odoo.modules.registry import Registry
from odoo.tools import config

from dev.postfix_server import SIZE_LIMIT, Postfix, wait_until
from dev.torture_lib import get_debian

MAILS = Path(__file__).parents[1] / "dunning_sequences" / "tests" / "data"
COMPANY = "company.example.com"

#: What stands for the reminder's Message-Id in the mails of the tests.
REMINDER = f"REMINDER@{COMPANY}"

#: Customers, by what becomes of their mails: the address that their reminder goes to.
CUSTOMERS = {
    "well": "well@customer.example.com",
    "unknown": "nobody@customer.example.com",
    "gone": "customer@gone.example.com",
    "full": "customer@full.example.com",
    "slow": "customer@slow.example.com",
    "copy": "copy@customer.example.com",
    "crowd": "crowd@customer.example.com",
    "receipt": "receipt@customer.example.com",
    "grey": "customer@grey.example.com",
    "big": "big@customer.example.com",
    "spam": "spam@customer.example.com",
}

#: The delivery reports that the tests keep: {name: (action, recipient)}.
REPORTS = {
    "failed_unknown": ("failed", CUSTOMERS["gone"]),
    "failed_expired": ("failed", CUSTOMERS["full"]),
    "failed_copy": ("failed", "boss@gone.example.com"),
    "delayed": ("delayed", CUSTOMERS["slow"]),
    "delivered": ("delivered", CUSTOMERS["receipt"]),
}

#: Has an address before its reminder comes back, and a right one after.
CORRECTED = "corrected@customer.example.com"


@contextlib.contextmanager
def environment(database):
    with Registry(database).cursor() as cr:
        yield api.Environment(cr, SUPERUSER_ID, {})


def get_free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


# --- what happens ---------------------------------------------------------------


class Story:
    def __init__(self, database, postfix):
        self.database, self.postfix = database, postfix
        self.problems, self.invoice_ids = [], {}
        # One customer for each mail that somebody answers with.
        self.answers = {path.stem: path for path in sorted(MAILS.glob("*_*.eml"))}
        for name in [name for name in self.answers if name.startswith("dsn_")]:
            del self.answers[name]

    def check(self, name, got, wanted):
        good = got == wanted
        print(
            f"  {'ok' if good else 'PROBLEM':8}{name}" + ("" if good else f": {got!r}")
        )
        if not good:
            self.problems.append(f"{name}: {got!r}, not {wanted!r}")

    @classmethod
    def get_addresses(cls):
        """Who has a mailbox."""
        names = [path.stem for path in MAILS.glob("*.eml")]
        return [
            *(f"{name}@customer.example.com" for name in names),
            *(f"c{number}@customer.example.com" for number in range(6)),
            *(
                a
                for a in CUSTOMERS.values()
                if not re.search("nobody|@(gone|full|slow)", a)
            ),
            "jeannot77@private.example.com",
            CORRECTED,
        ]

    # --- the company, its customers ----------------------------------------------

    def set_up(self):
        with environment(self.database) as env:
            self._set_up_company(env)
            self._set_up_sequences(env)
            for name, address in CUSTOMERS.items():
                self._set_up_customer(env, name, address)
            for name in self.answers:
                self._set_up_customer(env, name, f"{name}@customer.example.com")
            self._set_up_oddities(env)

    def _set_up_company(self, env):
        domain = env["mail.alias.domain"].search([], limit=1)
        domain = domain or domain.create({"name": COMPANY})
        domain.write(
            {"name": COMPANY, "bounce_alias": "bounce", "catchall_alias": "catchall"}
        )
        env["res.company"].search([]).alias_domain_id = domain
        env.company.write(
            {
                "email": f"company@{COMPANY}",
                "dunning_tz": "UTC",
                "dunning_hour_from": 0,
                "dunning_hour_to": 24,
            }
        )
        env["ir.mail_server"].search([]).active = False
        env["ir.mail_server"].create(
            {
                "name": "Postfix",
                "smtp_host": "127.0.0.1",
                "smtp_port": self.postfix.port,
                "smtp_encryption": "none",
                "from_filter": COMPANY,
            }
        )
        env.ref("base.user_admin").write({"password": "admin"})

    def _set_up_sequences(self, env):
        self.sequence_id = self._set_up_sequence(env, "S1", {}).id
        self.sequence_ids = {
            "big": self._set_up_sequence(env, "S1", {"attach_invoice": True}).id,
            "spam": self._set_up_sequence(env, "You won the lottery", {}).id,
        }
        env.company.dunning_sequence_id = self.sequence_id

    def _set_up_sequence(self, env, subject, vals):
        step = {
            "name": "S1",
            "delay": 7,
            "content": "text",
            "subject": f"{subject} {{{{ invoice_number }}}}",
            "body": "<p>S1: {{ amount_due }} since {{ due_date }}</p>",
        }
        sequence = env["dunning.sequence"].create(
            {
                "name": subject,
                "company_id": env.company.id,
                "user_id": env.ref("base.user_admin").id,
                "catch_up": "first",
                "step_ids": [Command.create(step)],
                **vals,
            }
        )
        sequence.action_start()
        return sequence

    def _set_up_customer(self, env, name, address):
        customer = env["res.partner"].create(
            {
                "name": name,
                "email": address,
                "dunning_sequence_id": self.sequence_ids.get(name, self.sequence_id),
            }
        )
        due = fields.Date.today() - timedelta(days=7)
        work = {"name": "Work", "price_unit": 100, "tax_ids": [Command.clear()]}
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
        self.invoice_ids[name] = invoice.id

    def _set_up_oddities(self, env):
        self.get_invoice(env, "copy").dunning_email_cc = "boss@gone.example.com"
        crowd = ", ".join(f"c{number}@customer.example.com" for number in range(6))
        self.get_invoice(env, "crowd").dunning_email_cc = crowd
        big = self.get_invoice(env, "big")
        big.invoice_pdf_report_file = b"A" * (SIZE_LIMIT * 2)

    def get_invoice(self, env, name):
        return env["account.move"].browse(self.invoice_ids[name])

    def get_reminder(self, env, name):
        lines = self.get_invoice(env, name).dunning_reminder_line_ids
        return lines.reminder_id.sorted("id")[-1:]

    # --- the days -----------------------------------------------------------------

    def remind(self):
        """Write the reminders; nothing leaves while the mail server is down."""
        with environment(self.database) as env:
            env["dunning.enrollment"]._run(today=fields.Date.today())
        self.postfix.stop()
        self.deliver()
        print("The mail server is down")
        with environment(self.database) as env:
            reminders = env["dunning.reminder"].search([("sequence_id", "!=", False)])
            self.check("all wait", set(reminders.mapped("state")), {"queued"})
            said = {bool(reminder.failure_reason) for reminder in reminders}
            self.check("each says why", said, {True})
        self.postfix.start()

    def deliver(self, **delta):
        """As the cron, at a later moment; one asks for notes of success, too."""
        rcpt = smtplib.SMTP.rcpt

        def ask(session, recipient, options=()):
            if recipient.startswith("receipt@"):
                options = [*options, "NOTIFY=SUCCESS,FAILURE,DELAY"]
            return rcpt(session, recipient, options)

        with environment(self.database) as env, patch.object(smtplib.SMTP, "rcpt", ask):
            now = fields.Datetime.now() + timedelta(**delta)
            env["dunning.reminder"]._deliver(now=now)

    def check_hand_over(self):
        print("What Postfix says to Odoo")
        with environment(self.database) as env:
            states = {name: self.get_reminder(env, name).state for name in CUSTOMERS}
            wanted = dict.fromkeys(CUSTOMERS, "sent")
            wanted.update(unknown="failed", big="failed", spam="failed", grey="queued")
            if states["gone"] == "bounced":  # its report was faster than this check
                wanted["gone"] = "bounced"
            for name in CUSTOMERS:
                self.check(f"{name}: {wanted[name]}", states[name], wanted[name])
            for name, answer in (
                ("unknown", "550 5.1.1"),
                ("big", "552 5.3.4"),
                ("spam", "550 5.7.1"),
                ("grey", "451 4.7.1"),
            ):
                reason = self.get_reminder(env, name).failure_reason or ""
                self.check(f"{name}: {reason.strip()}", answer in reason, True)
            refused = self.get_reminder(env, "crowd").refused or ""
            self.check(
                "crowd: copies above the limit are named", refused.count("452"), 2
            )

    def check_delivery(self):
        """What comes back: reports of Postfix, through the gateway."""
        print("What becomes of it")
        wait_until(lambda: self.count_reports("delayed") == 2, "two delayed reports")
        self.wait_for("slow", "sent")
        self.postfix.next_hop.slow = False
        self.deliver(minutes=10)
        self.wait_for("grey", "sent")
        self.wait_for("gone", "bounced")
        self.wait_for("full", "bounced")
        wait_until(self.postfix.is_idle, "Postfix has nothing to do")
        with environment(self.database) as env:
            env["dunning.enrollment"]._drain_marks(fields.Date.today())
            self.check_bounced(env, "gone", "550 5.1.1")
            self.check_bounced(env, "full", "452 4.2.2")
            for name in ("well", "slow", "copy", "crowd", "receipt", "grey"):
                self.check_arrived(env, name)
            refused = self.get_reminder(env, "copy").refused or ""
            noted = refused.startswith("boss@gone.example.com: 550 5.1.1")
            self.check(f"copy: noted: {refused}", noted, True)
        reports = {
            action: self.count_reports(action) for action in ("failed", "delayed")
        }
        self.check("reports", reports, {"failed": 3, "delayed": 2})
        self.check("a report of success", self.count_reports("relayed|delivered"), 1)

    def wait_for(self, name, state):
        def is_true():
            with environment(self.database) as env:
                return self.get_reminder(env, name).state == state

        wait_until(is_true, f"{name} is {state}")

    def count_reports(self, action):
        texts = (path.read_text() for path in self.postfix.get_piped())
        return len([text for text in texts if re.search(f"Action: ({action})", text)])

    def check_bounced(self, env, name, answer):
        invoice, reminder = self.get_invoice(env, name), self.get_reminder(env, name)
        partner = invoice.partner_id
        self.check(f"{name}: bounced", reminder.state, "bounced")
        told = all(
            text in reminder.failure_reason for text in (CUSTOMERS[name], answer)
        )
        self.check(f"{name}: {reminder.failure_reason}", told, True)
        counts = invoice.dunning_reminder_line_ids.mapped("counts")
        self.check(f"{name}: does not count", counts, [False])
        self.check(f"{name}: the invoice says so", invoice.dunning_status, "failed")
        self.check(f"{name}: bounces of the address", partner.message_bounce, 1)
        notification = reminder.mail_message_id.notification_ids
        status = notification.mapped("notification_status")
        self.check(f"{name}: the envelope is red", status, ["bounce"])

    def check_arrived(self, env, name):
        invoice, reminder = self.get_invoice(env, name), self.get_reminder(env, name)
        self.check(f"{name}: sent", reminder.state, "sent")
        counts = invoice.dunning_reminder_line_ids.mapped("counts")
        self.check(f"{name}: counts", counts, [True])
        self.check(f"{name}: no bounce", invoice.partner_id.message_bounce, 0)
        status = reminder.mail_message_id.notification_ids.mapped("notification_status")
        self.check(f"{name}: the envelope is not red", status, ["sent"])
        address = CUSTOMERS[name]
        if name == "slow":
            self.check("slow: taken", self.postfix.taken, [address])
        else:
            mails = self.postfix.get_mails(address)
            ids = [mail["Message-Id"] for mail in mails]
            self.check(f"{name}: in the mailbox, once", ids, [reminder.message_id])

    def correct(self):
        """The address is corrected, and the reminder sent again."""
        print("A corrected address")
        with environment(self.database) as env:
            env = env(user=env.ref("base.user_admin"))
            self.get_invoice(env, "gone").partner_id.email = CORRECTED
            self.get_reminder(env, "gone").action_retry()
        self.deliver()
        wait_until(lambda: self.postfix.get_mails(CORRECTED), "it arrives")
        with environment(self.database) as env:
            reminder = self.get_reminder(env, "gone")
            self.check("sent again", reminder.state, "sent")
            status = self.get_invoice(env, "gone").dunning_status
            self.check("the invoice says so", status, "done")

    # --- answers --------------------------------------------------------------------

    def answer(self):
        """Customers answer, and so do their machines."""
        print("Answers")
        for name, path in self.answers.items():
            with environment(self.database) as env:
                reminder = self.get_reminder(env, name)
                self.check(f"{name}: reminded", reminder.state, "sent")
                message_id = reminder.message_id.strip("<>")
            source = path.read_text(encoding="utf-8")
            source = source.replace(REMINDER, message_id)
            address = f"{name}@customer.example.com"
            source = source.replace("customer@customer.example.com", address)
            to = re.search(r"^To: .*?([\w.]+@[\w.]+)", source, re.MULTILINE).group(1)
            sender = "" if name.startswith("auto_") else address
            self.postfix.send(sender, to, source.encode())
        wait_until(self.postfix.is_idle, "Postfix has nothing to do")
        with environment(self.database) as env:
            for name in self.answers:
                self.check_answer(env, name)

    def check_answer(self, env, name):
        invoice = self.get_invoice(env, name)
        holds = invoice.dunning_hold_ids.filtered(lambda hold: not hold.closed_on)
        texts = [
            message
            for message in invoice.message_ids
            if message.message_type == "email" and "S1: " not in (message.subject or "")
        ]
        told = invoice.activity_ids.filtered(lambda a: "answered" in (a.summary or ""))
        got = (holds.mapped("kind"), len(told), len(texts))
        reply = name.startswith("reply_") and name != "reply_lost_thread"
        self.check(f"{name}: holds", got[:2], (["reply"], 1) if reply else ([], 0))
        if name == "reply_lost_thread":
            mails = self.postfix.get_mails(f"{name}@customer.example.com")
            subjects = {mail["Subject"][:3] for mail in mails}
            self.check(
                f"{name}: Odoo says that it did not take it", "Re:" in subjects, True
            )
        self.check(f"{name}: it counts", self.get_reminder(env, name).state, "sent")
        self.check(f"{name}: no bounce", invoice.partner_id.message_bounce, 0)


# --- main ---------------------------------------------------------------------------


def get_postfix():
    """Where it lies; where there can be none, say so and leave."""
    prefix = get_debian("postfix")
    if not prefix or os.geteuid():
        print("LEFT OUT: reminders through a real Postfix, which only root can start")
        sys.exit()
    return prefix


@contextlib.contextmanager
def odoo_server(config_file, database, log):
    """What the gateway talks to; without crons."""
    port = get_free_port()
    arguments = ["-c", config_file, "-d", database, "--http-port", str(port)]
    process = subprocess.Popen(
        [sys.executable, "-m", "odoo", "server", *arguments]
        + ["--max-cron-threads=0", "--log-level=info", f"--logfile={log}"],
        stdout=subprocess.DEVNULL,
    )

    def answers():
        if process.poll() is not None:
            raise SystemExit(f"Odoo does not start:\n{log.read_text()[-3000:]}")
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), 1).close()
            return True
        return False

    try:
        wait_until(answers, "Odoo listens")
        yield port
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()


def keep(postfix, folder):
    """Write the reports down for the tests, without the names of this run."""
    for path in postfix.get_piped():
        text = path.read_text()
        for name, (action, address) in REPORTS.items():
            recipient = f"Original-Recipient: rfc822;{address}\nAction: {action}"
            if recipient in text:
                text = re.sub(r"<[^<>@\s]+-account\.move@[^>]+>", f"<{REMINDER}>", text)
                text = text.replace(socket.gethostname(), "odoo.example.com")
                (folder / f"dsn_{name}.eml").write_text(text)


def main():
    parser = argparse.ArgumentParser(description="Reminders through a real Postfix.")
    parser.add_argument("config")
    parser.add_argument("database")
    parser.add_argument("--seed", help="of no use here: nothing is left to chance")
    parser.add_argument("--keep", type=Path, metavar="FOLDER")
    args = parser.parse_args()
    started = time.monotonic()
    prefix = get_postfix()
    # In /tmp: Postfix's users have to get there.
    with (
        tempfile.TemporaryDirectory(dir="/tmp") as name,
        contextlib.ExitStack() as stack,
    ):
        folder = Path(name)
        folder.chmod(0o755)
        config.parse_config(
            ["-c", args.config, "-d", args.database, "--log-level=error"]
        )
        port = stack.enter_context(
            odoo_server(args.config, args.database, folder / "odoo.log")
        )
        gateway = ["-d", args.database, "-u", "2", "-p", "admin", "--port", str(port)]
        postfix = Postfix(
            prefix, folder, get_free_port(), gateway, Story.get_addresses()
        )
        stack.enter_context(postfix)
        story = Story(args.database, postfix)
        story.set_up()
        story.remind()
        story.deliver(minutes=2)
        story.check_hand_over()
        story.check_delivery()
        story.correct()
        story.answer()
        if args.keep:
            keep(postfix, args.keep)
    print(f"{time.monotonic() - started:.0f} s")
    for problem in story.problems:
        print("PROBLEM", problem)
    sys.exit(bool(story.problems))


if __name__ == "__main__":
    main()
