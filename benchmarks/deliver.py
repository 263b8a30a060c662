"""Delivery: one, two and three crons at a slow server; one against Odoo's queue."""

import os

from odoo import fields
from odoo.modules.registry import Registry
from odoo.tools import config

from . import database, lib, report
from .daily import run_cron
from .sink import sink

#: Seconds before each answer of the slow server; a mail takes four.
DELAY = 0.02

SEND = "dunning_sequences.ir_cron_dunning_send"
CRONS = [SEND, f"{SEND}_2", f"{SEND}_3"]


def make_queue(name, count):
    """Reminders that are about to leave, and a third cron, made as users do."""
    with lib.environment(name) as env:
        database.make_due(env, count)
        reminders = env["dunning.enrollment"]._run(fields.Date.today())
        if len(reminders) != count:
            raise SystemExit(f"{len(reminders)} reminders, not {count}.")
        cron = env.ref(CRONS[1]).copy()
        module, xmlid = CRONS[2].split(".")
        env["ir.model.data"].create(
            {
                "module": module,
                "name": xmlid,
                "model": "ir.cron",
                "res_id": cron.id,
            }
        )


def hand_to_odoo(name):
    """The very same mails, in Odoo's own queue."""
    with lib.environment(name) as env:
        reminders = env["dunning.reminder"].search([("state", "=", "queued")])
        mails = env["mail.mail"].create(
            [
                {
                    **reminder._prepare_mail_vals(),
                    "email_from": reminder.email_from,
                    "is_notification": True,
                }
                for reminder in reminders
            ]
        )
        for reminder, mail in zip(reminders, mails, strict=True):
            notifications = reminder.mail_message_id.notification_ids
            notifications.mail_mail_id = mail
        reminders.state = "cancelled"


def get_act(crons, ports, delay, count, odoos=False):
    def act(name, clock):
        config["smtp_server"] = "127.0.0.1"
        config["smtp_port"] = ports[delay]
        if odoos:
            hand_to_odoo(name)
        model = "mail.mail" if odoos else "dunning.reminder"
        states = ["outgoing"] if odoos else ["queued"]
        left = [(model, "search_count", [[("state", "in", states)]])]
        starting, start = os.pipe()
        lib.odoo.sql_db.close_all()
        workers = [fork_worker(name, cron, left, starting, start) for cron in crons]
        for worker in workers:
            os.read(worker[1], 1)  # it is ready
        with clock:
            os.close(start)
            for process_id, _ready in workers:
                os.waitpid(process_id, 0)
        check(name, model, odoos, count)
        clock.count = count

    return act


def fork_worker(name, cron, left, starting, start):
    """A worker that is warm, and waits for the others."""
    reading, ready = os.pipe()
    process_id = os.fork()
    if process_id:
        os.close(ready)
        return process_id, reading
    status = 1
    try:
        os.close(start)
        warm_up(name)
        os.write(ready, b"1")
        os.read(starting, 1)  # until the other end is closed
        while count_left(name, left):
            run_cron(name, cron)
        status = 0
    finally:
        os._exit(status)


def warm_up(name):
    """Render a mail, as a worker that has run for some time has."""
    with Registry(name).cursor() as cr:
        env = lib.api.Environment(cr, lib.SUPERUSER_ID, {})
        reminder = env["dunning.reminder"].search([], order="id desc", limit=1)
        reminder._with_company_lang(reminder.company_id)._build_message()
        cr.rollback()


def count_left(name, left):
    with lib.environment(name) as env:
        return sum(getattr(env[model], method)(*args) for model, method, args in left)


def check(name, model, odoos, count):
    with lib.environment(name) as env:
        reminders = env["dunning.reminder"].search_count(
            [("state", "=", "sent"), ("before_due", "=", False)]
        )
        notifications = env["mail.notification"].search_count(
            [("notification_status", "=", "sent")]
        )
    sent = notifications if odoos else reminders
    if sent != count:
        raise SystemExit(f"{sent} mails were sent, not {count} ({model}).")


def get_speedup(clocks, number):
    return [
        one.seconds / more.seconds
        for one, more in zip(clocks["1"], clocks[number], strict=True)
    ]


def run(bench):
    # Several times what a worker takes at once, so that three of them have as much.
    count = max(20, min(300, bench.size // 20))
    queue = f"{lib.WORK}_queue"
    lib.copy_db(bench.database("ours"), queue)
    lib.in_child(make_queue, queue, count)
    with sink(DELAY) as slow, sink() as instant:
        ports = {DELAY: slow, 0: instant}

        def subject(crons, delay, odoos=False):
            act = get_act(crons, ports, delay, count, odoos)
            return lib.Subject(act, queue, by_name=True)

        clocks = lib.run_in_turn(
            {
                "ours": subject(CRONS[:1], 0),
                "Odoo's queue": subject(
                    ["mail.ir_cron_mail_scheduler_action"], 0, odoos=True
                ),
                "1": subject(CRONS[:1], DELAY),
                "2": subject(CRONS[:2], DELAY),
                "3": subject(CRONS[:3], DELAY),
            },
            bench.runs,
        )
    lib.drop_db(queue)
    rows = [
        report.compare(
            "deliver",
            f"delivery of {count}, one cron, against Odoo's own queue",
            clocks,
            "ours",
            "Odoo's queue",
            per="mail",
            value=lambda clock: clock.each,
            bar=1.1,
        )
    ]
    for number, bar in (("2", 1.8), ("3", 2.5)):
        rows.append(
            report.Row(
                f"deliver_{number}",
                f"delivery of {count}, {DELAY * 1000:.0f} ms an answer, {number} crons",
                report.format_seconds(lib.typical(clocks[number])) + " a mail",
                "one cron: " + report.format_seconds(lib.typical(clocks["1"])),
                get_speedup(clocks, number),
                unit="times as fast",
                bar=bar,
                at_least=True,
            )
        )
    return rows
