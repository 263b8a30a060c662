"""What happens in a day and in a year: the plans of all of it are looked at."""

from datetime import timedelta

from odoo import fields

#: {what it is: function of an environment}, in this order
DEEDS = {}


def deed(what):
    def register(function):
        DEEDS[what] = function
        return function

    return register


@deed("the daily run")
def run(env):
    env["dunning.enrollment"]._drain_marks(fields.Date.today(), 1000)
    env["dunning.enrollment"]._run(fields.Date.today())


@deed("a delivery")
def deliver(env):
    env["dunning.reminder"]._deliver(fields.Datetime.now())


@deed("the search for lost answers")
def recover(env):
    env["dunning.reminder"]._recover()


@deed("a retry")
def retry(env):
    reminders = env["dunning.reminder"].search([("move_id", "!=", False)], limit=40)
    reminders._fail("Refused")
    reminders.flush_recordset()
    for reminder in reminders[:20]:
        reminder.action_retry()


@deed("a customer's setting changes")
def change_customer(env):
    customer = env["dunning.enrollment"].search([], limit=1).partner_id
    customer.dunning_policy = "none"
    env.cr.precommit.run()
    env["dunning.enrollment"]._drain_marks(fields.Date.today())


@deed("a pause")
def hold(env):
    moves = env["dunning.enrollment"].search([], limit=5, order="id desc").move_id
    env["dunning.hold"].create({"kind": "pause", "move_ids": moves.ids})
    moves.action_dunning_resume()


@deed("opening the lists")
def open_lists(env):
    for model in ("enrollment", "reminder", "reminder.line", "hold", "analysis"):
        Model = env.get(f"dunning.{model}")
        if Model is not None:
            Model.search_fetch([], limit=80)
            Model.search_count([("company_id", "=", env.company.id)], limit=10_000)
    Reminder = env["dunning.reminder"]
    for domain in (
        [("state", "in", ("failed", "bounced", "doubtful"))],
        [("state", "=", "to_approve")],
        [("date", ">=", fields.Date.today() - timedelta(days=7))],
    ):
        Reminder.search_fetch(domain, limit=80)
    env["account.move"].search([("dunning_status", "=", "paused")], limit=80)


@deed("opening a customer")
def open_customer(env):
    customer = env["dunning.reminder"].search([], limit=1).partner_id
    for model in ("dunning.enrollment", "dunning.reminder", "dunning.hold"):
        env[model].search_fetch([("partner_id", "=", customer.id)], limit=80)


@deed("opening an invoice")
def open_invoice(env):
    move = env["dunning.reminder"].search([], limit=1).move_id
    for name, field in move._fields.items():
        if "dunning" in name and not field.type == "binary":
            move[name]  # noqa: B018
    env["dunning.reminder"].search([("move_id", "=", move.id)])


@deed("opening a sequence")
def open_sequence(env):
    sequence = env["dunning.sequence"].search([], limit=1)
    for name in sequence._fields:
        if not name.startswith("message_"):
            sequence[name]  # noqa: B018
    env["dunning.enrollment"].search([("sequence_id", "=", sequence.id)], limit=80)


@deed("the weekly recap")
def recap(env):
    env["dunning.recap"]._cron_send()
    env["digest.digest"].search([], limit=1).read()


@deed("the end of sequences is told")
def tell(env):
    sequence = env["dunning.sequence"].search([], limit=1)
    sequence.write({"tell_salesperson": True, "tell_when_done": True})
    env["dunning.enrollment"]._tell_safely(env.company, fields.Date.today())


@deed("opening the list For Collection")
def open_collection(env):
    env["dunning.enrollment"].search([("to_collect", "=", True)], limit=80)


@deed("old texts are erased")
def erase(env):
    env.company.dunning_keep_months = 36
    env["dunning.reminder"]._gc_texts()


@deed("letters are made")
def make_letters(env):
    env["dunning.reminder"]._find_letters()


@deed("a simulation")
def simulate(env):
    env["dunning.simulation"].create({"days": 7})._open()


@deed("the nightly clean-up")
def clean_up(env):
    for model in ("dunning.attempt", "dunning.day", "dunning.recap"):
        for name in dir(env[model]):
            if name.startswith("_gc_"):
                getattr(env[model], name)()
    env["dunning.simulation"].search([]).unlink()


@deed("deleting a message")
def delete_message(env):
    domain = [("mail_message_id", "!=", False)]
    env["dunning.reminder"].search(domain, limit=1).mail_message_id.unlink()


@deed("deleting an activity")
def delete_activity(env):
    move = env["account.move"].search([], limit=1)
    move.activity_schedule("mail.mail_activity_data_todo").unlink()


@deed("deleting an invoice")
def delete_invoice(env):
    move = env["dunning.enrollment"].search([], limit=1, order="id desc").move_id
    env.cr.execute("DELETE FROM account_move WHERE id = %s", [move.id])


@deed("deleting a customer")
def delete_customer(env):
    env["res.partner"].create({"name": "Short"}).unlink()


@deed("deleting a template")
def delete_template(env):
    env["mail.template"].search([], limit=1).copy().unlink()


@deed("deleting a type of activity")
def delete_activity_type(env):
    env["mail.activity.type"].create({"name": "Short"}).unlink()


@deed("deleting a sequence")
def delete_sequence(env):
    sequence = env["dunning.sequence"].search([], limit=1)
    sequence.copy({"state": "draft"}).unlink()
