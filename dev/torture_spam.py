"""The ready-made mails as they arrive, judged by SpamAssassin.

    python -m dev.torture_spam ODOO.CONF DATABASE

Each step of the standard sequence, in English and in French, with one invoice and
with several, leaves by SMTP. What the server took is given to Debian's SpamAssassin
with its own rules and nothing from the network; each has to score under 1, where 5
is spam.
"""

import os
import re
import subprocess
import sys
import time
from datetime import date, datetime, timedelta
from pathlib import Path

from odoo.fields import Command

from dev.inbox import Mail
from dev.torture_lib import (
    end,
    environment,
    get_debian,
    inbox,
    parse_arguments,
    set_up_company,
)

#: Must not be reached.
LIMIT = 1.0

LANGUAGES = ("en_US", "fr_FR")

#: {what: invoices of the customer}
CUSTOMERS = {"one": 1, "several": 4}

STATUS = re.compile(r"X-Spam-Status:.*?score=(-?[\d.]+).*?tests=(\S*)")

#: A company as there are many: what is missing in its mails would count against it.
COMPANY = {
    "name": "Atelier Beaumont",
    "street": "12 rue des Lilas",
    "zip": "31000",
    "city": "Toulouse",
    "phone": "+33 5 61 00 00 00",
}


class SpamAssassin:
    """The program from an unpacked package: no network, and no memory."""

    def __init__(self, prefix, home):
        self.prefix, self.home = Path(prefix), home
        folders = ("usr/share/perl5", "usr/lib/*/perl5/*", "usr/share/perl/*")
        found = [path for folder in folders for path in self.prefix.glob(folder)]
        # It runs with -T, as it asks for itself: PERL5LIB counts for nothing then.
        self.perl = ["perl", "-T", *(f"-I{path}" for path in found)]

    def get_score(self, source):
        """Return (score, the rules that a mail has met)."""
        result = subprocess.run(
            [*self.perl, self.prefix / "usr/bin/spamassassin", "--local", "--test-mode"]
            + [f"--configpath={self.prefix}/usr/share/spamassassin"]
            + [f"--siteconfigpath={self.prefix}/etc/spamassassin"]
            + ["--nocreate-prefs", "--cf=use_bayes 0"],
            input=source,
            capture_output=True,
            env={**os.environ, "HOME": str(self.home)},
        )
        answer = re.sub(r"\r?\n[ \t]+", "", result.stdout.decode(errors="replace"))
        status = STATUS.search(answer)
        if not status:
            raise SystemExit(result.stderr.decode(errors="replace")[-2000:])
        return float(status[1]), status[2]


def set_up(env, smtp_port):
    """Customers who owe something, and the sequence that comes with the addon."""
    set_up_company(env, smtp_port)
    env.company.write(COMPANY)
    for lang in LANGUAGES:
        env["res.lang"]._activate_lang(lang)
    installed = env["ir.module.module"].search([("state", "=", "installed")])
    installed._update_translations(LANGUAGES)
    due = date.today() + timedelta(days=10)
    product = env["product.product"].create({"name": "Shelves, oak"})
    for lang in LANGUAGES:
        for what, count in CUSTOMERS.items():
            customer = env["res.partner"].create(
                {
                    "name": f"Garage Martin {what} {lang[:2]}",
                    "email": f"{what}.{lang[:2]}@customer.example.com",
                    "lang": lang,
                    "is_company": True,
                }
            )
            for number in range(count):
                create_invoice(env, customer, product, due, 480.5 + number)
    sequence = env.ref("dunning_sequences.dunning_sequence_standard")
    sequence.action_start()
    env.company.dunning_sequence_id = sequence
    env.cr.commit()
    return sequence, due


def create_invoice(env, customer, product, due, amount):
    line = {
        "product_id": product.id,
        "price_unit": amount,
        "tax_ids": [Command.clear()],
    }
    invoice = env["account.move"].create(
        {
            "move_type": "out_invoice",
            "partner_id": customer.id,
            "invoice_date": date.today(),
            "invoice_date_due": due,
            "invoice_line_ids": [Command.create(line)],
        }
    )
    invoice.action_post()


def send(env, sequence, due):
    """Let the days of all steps pass."""
    for step in sequence.step_ids.sorted("sequence"):
        day = due + timedelta(days=step.delay)
        env["dunning.enrollment"]._run(today=day)
        env.cr.commit()
        now = datetime.combine(day, datetime.min.time()) + timedelta(hours=12)
        env["dunning.reminder"]._deliver(now=now)
        env.cr.commit()


def judge(mails, spam_assassin, expected):
    """Print what each mail scores, and return the problems."""
    problems = []
    if len(mails) != expected:
        problems.append(f"{len(mails)} mails of {expected} arrived")
    for mail in mails:
        score, rules = spam_assassin.get_score(mail.source)
        what = f"{mail.recipients[0].partition('@')[0]}: {mail.header('Subject')}"
        print(f"{score:5.1f}  {what[:60]:60}  {rules}")
        if score >= LIMIT:
            problems.append(f"{what} scores {score} ({rules})")
    return problems


def main():
    started = time.monotonic()
    args = parse_arguments("The ready-made mails, judged by SpamAssassin.")
    prefix = get_debian("spamassassin")
    if not prefix:
        print("LEFT OUT: what SpamAssassin says of the mails (the reason is above)")
        sys.exit()
    with inbox(args.folder) as port, environment(args.database) as env:
        sequence, due = set_up(env, port)
        send(env, sequence, due)
        expected = len(sequence.step_ids) * len(LANGUAGES) * len(CUSTOMERS)
    mails = [Mail(path) for path in sorted((args.folder / "mails").glob("*.eml"))]
    end(judge(mails, SpamAssassin(prefix, args.folder), expected), started)


if __name__ == "__main__":
    main()
