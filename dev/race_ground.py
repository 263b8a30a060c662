"""Where the races of `dev/torture races` take place: company, users, customers."""

import json
import os
import random
import time
from datetime import timedelta

from odoo import Command, fields
from odoo.exceptions import AccessError, UserError
from odoo.modules.registry import Registry
from odoo.service.model import retrying
from odoo.sql_db import db_connect
from odoo.tools import config

from dev.race_actions import ACTIONS
from dev.torture_lib import (
    AMOUNT,
    STEP,
    connect,
    environment,
    run_cron,
    set_up_company,
    set_up_sequence,
)

#: What the second of two may be told: a sentence, never the database's words.
DATABASE_WORDS = ("The operation cannot be completed", "could not serialize", "psycopg")


class Ground:
    """The company and its customers, and what is noted of everybody in files."""

    def __init__(self, database, folder, seed):
        self.database = database
        self.folder = folder
        self.acts = folder / "acts"
        self.leases = folder / "leases"
        self.waits = folder / "waits"
        self.seed = seed
        self.dice = random.Random(seed)
        self.number = 0
        self.told = {}  # invoice id: what its round was
        self.bystanders = []  # invoice ids, to which nothing was done
        self.user_ids = []
        self.problems = []

    def set_up(self, smtp_port):
        with environment(self.database) as env:
            set_up_company(env, smtp_port)
            self.user_ids = create_users(env).ids
            create_sequence(env, "Other", [{"delay": 40}])
            create_sequence(env, "Approval", [{"delay": 7, "mode": "approval"}])
            create_sequence(env, "Clocks", [{"delay": 7}, {"delay": 8}])
            # What is done after its reminder changes less: with another seed it is not.
            steps = [{"delay": 7}, {"delay": 40}][: 1 + self.seed % 2]
            create_sequence(env, "Races", steps)  # the last is the default
        Registry(self.database).check_signaling()
        self.quiet()

    def post(self, count=1, what="due"):
        """Post invoices, each of a customer of its own, due a week ago."""
        with environment(self.database) as env:
            numbers = range(self.number, self.number + count)
            self.number += count
            invoices = create_invoices(env, numbers, what)
            prepare = {
                "without sequence": {"dunning_policy": "none"},
                "to approve": self.follow(env, "Approval"),
                "clocks": self.follow(env, "Clocks"),
                "failed without step": {"dunning_policy": "none"},
            }
            invoices.write(prepare.get(what, {}))
            invoices.action_post()
            return invoices.ids

    def follow(self, env, name):
        sequence = env["dunning.sequence"].search([("name", "=", name)])
        return {"dunning_sequence_id": sequence.id}

    def quiet(self):
        """All crons, one after the other; nothing waits for a minute to pass."""
        with connect(self.database) as connection, connection.cursor() as cr:
            cr.execute(
                "UPDATE dunning_reminder SET next_try = NULL WHERE state = 'queued'"
            )
            connection.commit()
        for name in ("reconcile", "run", "send", "reconcile"):
            run_cron(self.database, name)

    def act(self, name, invoice_id, user=0, starting=None):
        """Do something as a user, as RPC does it; note how it went.

        :param starting: a pipe: begin when something can be read from it
        """
        random.seed(os.getpid())  # Odoo waits at random before it tries again
        call_connections(self.database, f"person {name}")
        tries, error = [], None
        with environment(self.database, self.user_ids[user]) as env:
            invoice = env["account.move"].browse(invoice_id)
            if starting is not None:
                os.read(starting, 1)

            def attempt():
                tries.append(time.time())
                ACTIONS[name](invoice)
                env.cr.flush()

            try:
                retrying(attempt, env)
                env.cr.commit()
            except Exception as exception:
                env.cr.rollback()
                error = exception
        self.note(
            self.acts,
            name=name,
            invoice=invoice_id,
            tries=len(tries),
            done_at=time.time(),
            error=error and f"{type(error).__name__}: {error}",
            expected=is_sentence(error),
        )

    def note(self, path, **values):
        with path.open("a") as file:
            file.write(json.dumps(values) + "\n")

    def read(self, path):
        if not path.exists():
            return []
        return [json.loads(line) for line in path.read_text().splitlines()]


def is_sentence(error):
    """Was the user told why, in words that are meant for him?"""
    return (
        isinstance(error, UserError)
        and not isinstance(error, AccessError)
        and not any(words in str(error) for words in DATABASE_WORDS)
    )


def call_connections(database, name):
    """Give this process's connections a name that the database shows."""
    config["db_app_name"] = name
    Registry(database)._db = db_connect(database)


def create_users(env):
    groups = env.ref("account.group_account_manager") + env.ref("base.group_user")
    groups += env.ref("base.group_partner_manager")
    groups += env.ref("account.group_account_basic")
    return env(context={"no_reset_password": True})["res.users"].create(  # no mail
        [
            {
                "name": name,
                "login": name.lower(),
                "email": f"{name.lower()}@torture.example.com",
                "company_id": env.company.id,
                "company_ids": [Command.set(env.company.ids)],
                "group_ids": [Command.set(groups.ids)],
            }
            for name in ("Anna", "Bert")
        ]
    )


def create_sequence(env, name, steps):
    steps = [
        Command.create({**STEP, "name": f"S{number}", "sequence": number, **vals})
        for number, vals in enumerate(steps, 1)
    ]
    return set_up_sequence(env, name=name, step_ids=steps)


def create_invoices(env, numbers, what):
    """One a customer."""
    refuse = "refuse-" if what.startswith("failed") else ""
    customers = env["res.partner"].create(
        [
            {"name": f"R{number}", "email": f"{refuse}r{number}@races.example.com"}
            for number in numbers
        ]
    )
    due = fields.Date.today() - timedelta(days=7)
    work = {"name": "Work", "price_unit": AMOUNT, "tax_ids": [Command.clear()]}
    return env["account.move"].create(
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
