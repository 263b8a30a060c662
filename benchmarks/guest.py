"""What Odoo's own work costs with the addon installed, and without.

Posting, paying, and opening the list and the form of invoices as the web client asks
for them, with all columns of the views.
"""

from lxml import etree

from odoo import SUPERUSER_ID

from . import lib, report

#: How often a list or a form is opened in a run.
OPENINGS = 100
#: Lines of a list in the web client.
PAGE = 80

ACCOUNTANT = "base.user_admin"


def as_accountant(env):
    return env(user=env.ref(ACCOUNTANT))


def get_post(count):
    def act(env, clock):
        drafts = as_accountant(env)["account.move"].search(
            [("state", "=", "draft")], limit=count, order="id"
        )
        drafts.invoice_date = drafts[0].invoice_date
        env.cr.commit()
        with clock:
            drafts.action_post()
            env.cr.commit()
        check(drafts, "state", "posted", count)

    return act


def get_pay(count):
    def act(env, clock):
        invoices = as_accountant(env)["account.move"].search(
            [("state", "=", "posted"), ("payment_state", "=", "not_paid")],
            limit=count,
            order="id",
        )
        wizard = invoices.env["account.payment.register"].with_context(
            active_model="account.move", active_ids=invoices.ids
        )
        with clock:
            wizard.create({"group_payment": False})._create_payments()
            env.cr.commit()
        invoices.invalidate_recordset()
        check(invoices, "amount_residual", 0, count)

    return act


def check(records, name, value, count):
    done = sum(record[name] == value for record in records)
    if done != count:
        raise SystemExit(f"{done} of {count} have {name} {value}.")


def open_list(env, clock):
    Move = as_accountant(env)["account.move"]
    view = env.ref("account.view_out_invoice_tree")
    specification = get_specification(Move, view.id, "list")
    domain = [("move_type", "in", ("out_invoice", "out_refund"))]
    repeat(env, clock, lambda: Move.web_search_read(domain, specification, limit=PAGE))


def open_form(env, clock):
    Move = as_accountant(env)["account.move"]
    specification = get_specification(
        Move, env.ref("account.view_move_form").id, "form"
    )
    move = Move.search([("state", "=", "posted")], limit=1, order="id desc")
    repeat(env, clock, lambda: move.web_read(specification))


def repeat(env, clock, open_it):
    open_it()
    for _opening in range(OPENINGS):
        env.flush_all()
        env.invalidate_all()
        with clock:
            open_it()
    clock.count = OPENINGS


def get_specification(Model, view_id, view_type):
    """Return what the web client would ask for: all fields of the view."""
    arch = Model.get_view(view_id, view_type)["arch"]
    return read_specification(Model, etree.fromstring(arch))


def read_specification(Model, node):
    specification = {}
    for field_node in iter_fields(node):
        field = Model._fields[field_node.get("name")]
        specification.setdefault(field.name, {})
        if field.type in ("many2one", "reference"):
            specification[field.name] = {"fields": {"display_name": {}}}
        elif field.type in ("one2many", "many2many"):
            comodel = Model.env[field.comodel_name]
            lists = [child for child in field_node if child.tag in ("list", "kanban")]
            inner = {"display_name": {}}
            if lists:
                inner = read_specification(comodel, lists[0])
            specification[field.name] = {"fields": inner, "limit": PAGE}
    return specification


def iter_fields(node):
    """Yield the fields of a view, without those of the lists inside of it."""
    for child in node:
        if child.tag == "field":
            yield child
        elif child.tag is not etree.Comment:
            yield from iter_fields(child)


def run(bench):
    count = max(10, min(500, bench.size // 10))
    databases = {"with": bench.database("ours"), "without": bench.database("plain")}
    rows = []
    for key, what, act, writes, bar in (
        ("post", f"posting {count} invoices", get_post(count), True, 1.05),
        ("pay", f"registering {count} payments", get_pay(count), True, 1.05),
        ("list", f"opening the invoice list, {PAGE} lines", open_list, False, 1.1),
        ("form", "opening an invoice", open_form, False, 1.1),
    ):
        clocks = lib.run_in_turn(
            {
                name: lib.Subject(act, database, writes=writes, user_id=SUPERUSER_ID)
                for name, database in databases.items()
            },
            bench.runs,
        )
        per = None if writes else "time"
        what = f"{what}, with the module against without"
        rows += [
            report.compare(key, what, clocks, "with", "without", per=per, bar=bar),
            report.Row(
                f"{key}_queries",
                f"{what}: queries",
                *(
                    f"{name}: {clocks[name][0].queries / clocks[name][0].count:.0f}"
                    for name in ("with", "without")
                ),
                lib.get_ratios(
                    clocks["with"], clocks["without"], lambda clock: clock.queries
                ),
                bar=bar,
            ),
        ]
    return rows
