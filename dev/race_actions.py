"""What people do while the engine works: the races of `dev/torture races`.

Each action is what a button, a form or a cron of Odoo does, on one invoice. Those that
settle it say how soon nobody may be reminded of it any more.
"""

from datetime import timedelta

from odoo import Command, fields

#: By name: what is done.
ACTIONS = {}

#: After these no reminder may be written, nor leave. They change the invoice itself, so
#: that a delivery notices up to the moment at which it asks for the last time…
SETTLES_INVOICE = set()

#: …and these are noticed up to the moment at which a delivery begins.
SETTLES_OTHERWISE = set()

#: Somebody's money: never blocked, never refused.
PAYS = {"pays", "pays in part", "credit is assigned", "bank line is matched"}


def action(name, settles=None):
    def register(function):
        ACTIONS[name] = function
        if settles is not None:
            settles.add(name)
        return function

    return register


def get_receivable(move):
    return move.line_ids.filtered(
        lambda line: line.account_id.account_type == "asset_receivable"
    )


# --- money ------------------------------------------------------------------------


def register_payment(invoice, **vals):
    wizard = invoice.env["account.payment.register"].with_context(
        active_model="account.move", active_ids=invoice.ids
    )
    wizard.create(vals)._create_payments()


@action("pays", SETTLES_INVOICE)
def pay(invoice):
    register_payment(invoice)


@action("pays in part")
def pay_in_part(invoice):
    register_payment(invoice, amount=40)


@action("credit is assigned", SETTLES_INVOICE)
def assign_credit(invoice):
    """The button “Add” beside an outstanding credit of the customer."""
    receivable = get_receivable(invoice)
    income = invoice.invoice_line_ids.account_id
    amount = invoice.amount_residual
    entry = invoice.env["account.move"].create(
        {
            "move_type": "entry",
            "date": fields.Date.today(),
            "line_ids": [
                Command.create(
                    {
                        "account_id": receivable.account_id.id,
                        "partner_id": invoice.commercial_partner_id.id,
                        "credit": amount,
                    }
                ),
                Command.create({"account_id": income.id, "debit": amount}),
            ],
        }
    )
    entry.action_post()
    invoice.js_assign_outstanding_line(get_receivable(entry).id)


@action("bank line is matched", SETTLES_INVOICE)
def match_bank_line(invoice):
    receivable = get_receivable(invoice)
    journal = invoice.env["account.journal"].search(
        [("type", "=", "bank"), ("company_id", "=", invoice.company_id.id)], limit=1
    )
    line = invoice.env["account.bank.statement.line"].create(
        {
            "journal_id": journal.id,
            "date": fields.Date.today(),
            "payment_ref": invoice.name,
            "partner_id": invoice.commercial_partner_id.id,
            "amount": invoice.amount_residual,
            "counterpart_account_id": receivable.account_id.id,
        }
    )
    (get_receivable(line.move_id) + receivable).reconcile()


# --- the invoice ------------------------------------------------------------------


@action("is blocked", SETTLES_INVOICE)
def block(invoice):
    invoice.action_toggle_block_payment()


@action("excluded from follow-up", SETTLES_OTHERWISE)
def exclude(invoice):
    get_receivable(invoice).no_followup = True


@action("back to draft", SETTLES_INVOICE)
def draft(invoice):
    invoice.button_draft()


@action("is cancelled", SETTLES_INVOICE)
def cancel(invoice):
    invoice.button_draft()
    invoice.button_cancel()


@action("is reversed", SETTLES_INVOICE)
def reverse(invoice):
    invoice._reverse_moves(
        [{"invoice_date": fields.Date.today(), "date": fields.Date.today()}],
        cancel=True,
    )


@action("due date moves", SETTLES_INVOICE)
def postpone_due_date(invoice):
    invoice.button_draft()
    invoice.invoice_date_due = fields.Date.today() + timedelta(days=20)
    invoice.action_post()


# --- waiting ----------------------------------------------------------------------


def hold(invoice, kind, **vals):
    invoice.env["dunning.hold"].create(
        {
            "kind": kind,
            "move_ids": [Command.set(invoice.ids)],
            "company_id": invoice.company_id.id,
            **vals,
        }
    )


@action("is paused", SETTLES_OTHERWISE)
def pause(invoice):
    invoice.dunning_paused = True


@action("is promised", SETTLES_OTHERWISE)
def promise(invoice):
    hold(invoice, "promise", until=fields.Date.today() + timedelta(days=9))


@action("is disputed", SETTLES_OTHERWISE)
def dispute(invoice):
    hold(invoice, "dispute")


@action("customer is paused", SETTLES_OTHERWISE)
def pause_customer(invoice):
    invoice.partner_id.dunning_paused = True


@action("paused and resumed")
def pause_and_resume(invoice):
    invoice.dunning_paused = True
    invoice.env.cr.commit()
    invoice.action_dunning_resume()


# --- settings ---------------------------------------------------------------------


def get_other(invoice):
    return invoice.env["dunning.sequence"].search([("name", "=", "Other")])


@action("invoice is left out", SETTLES_INVOICE)
def leave_out(invoice):
    invoice.dunning_policy = "none"


@action("invoice moves to another sequence")
def move_invoice(invoice):
    invoice.dunning_sequence_id = get_other(invoice)


@action("customer is left out", SETTLES_OTHERWISE)
def leave_customer_out(invoice):
    invoice.partner_id.dunning_policy = "none"


@action("customer moves to another sequence")
def move_customer(invoice):
    invoice.partner_id.dunning_sequence_id = get_other(invoice)


@action("company takes another sequence and back")
def change_company(invoice):
    company = invoice.company_id.sudo()
    before = company.dunning_sequence_id
    company.dunning_sequence_id = get_other(invoice)
    invoice.env.cr.commit()
    company.write(
        {"dunning_sequence_id": before.id, "dunning_since": before.started_on}
    )


@action("step is edited")
def edit_step(invoice):
    sequence = invoice.company_id.sudo().dunning_sequence_id
    step = sequence.step_ids[0]
    sequence.write(
        {"step_ids": [Command.update(step.id, {"body": f"{step.body}<p>Again.</p>"})]}
    )


@action("sequence stops and starts")
def stop_and_start(invoice):
    sequence = invoice.company_id.sudo().dunning_sequence_id
    started_on = sequence.started_on
    sequence.action_stop()
    invoice.env.cr.commit()
    sequence.write({"state": "running", "started_on": started_on})


@action("address changes")
def change_address(invoice):
    partner = invoice.partner_id
    partner.email = f"new.{partner.email}"


@action("contact is merged")
def merge(invoice):
    """A double of the customer disappears in him."""
    customer = invoice.partner_id
    double = customer.copy({"name": f"{customer.name} (double)", "email": False})
    invoice.env["base.partner.merge.automatic.wizard"].sudo()._merge(
        (customer + double).ids, customer, extra_checks=False
    )


@action("customer is merged into another")
def merge_away(invoice):
    customer = invoice.partner_id
    other = customer.copy({"name": f"{customer.name} (kept)", "email": customer.email})
    invoice.env["base.partner.merge.automatic.wizard"].sudo()._merge(
        (customer + other).ids, other, extra_checks=False
    )


# --- by hand ----------------------------------------------------------------------


@action("reminded from the list")
def remind(invoice):
    invoice.dunning_enrollment_ids.action_remind()


def open_composer(invoice):
    """Once: the click on “Send” is a request of its own, the one that is repeated."""
    composer = invoice.env["dunning.reminder.compose"]
    known = composer.search([("move_ids", "in", invoice.ids)])
    known = known.filtered(lambda wizard: wizard.create_uid == invoice.env.user)
    if known:
        return known[-1:]
    action = invoice.action_dunning_compose()
    invoice.env.cr.commit()
    return composer.browse(action["res_id"])


@action("reminded in the composer")
def compose(invoice):
    open_composer(invoice).action_send()


@action("recorded in the composer")
def record_in_composer(invoice):
    composer = open_composer(invoice)
    composer.outcome = "recorded"
    composer.action_send()


@action("recorded as reminded")
def record(invoice):
    invoice.dunning_enrollment_ids.action_record()


@action("step is skipped")
def skip(invoice):
    invoice.dunning_enrollment_ids.action_skip()


@action("starts again")
def restart(invoice):
    invoice.dunning_enrollment_ids.action_restart()


def get_last(invoice):
    return invoice.dunning_reminder_ids.sorted("id")[-1:]


@action("approved")
def approve(invoice):
    get_last(invoice).action_approve()


@action("skipped instead of approved")
def skip_reminder(invoice):
    get_last(invoice).action_skip()


@action("kept from leaving")
def cancel_reminder(invoice):
    get_last(invoice).action_cancel()


@action("approved and undone")
def undo(invoice):
    get_last(invoice).action_undo()


@action("retried")
def retry(invoice):
    get_last(invoice).action_retry()


# --- in bulk ----------------------------------------------------------------------


@action("customers are enrolled")
def enroll(invoice):
    """All customers whose name begins as this one's: two people choose the same."""
    partners = invoice.env["res.partner"].search(
        [("name", "=like", f"{invoice.partner_id.name[:2]}%")]
    )
    wizard = invoice.env["dunning.partner.enroll"].create(
        {
            "partner_ids": [Command.set(partners.ids)],
            "policy": "own",
            "sequence_id": get_other(invoice).id,
        }
    )
    wizard.action_confirm()


@action("sequence is started")
def start(invoice):
    get_other(invoice).action_start()
