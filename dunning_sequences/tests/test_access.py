"""Who may do what: each public method, each model, by each kind of user.

Nothing of ours is called or read from outside that is not in these tables: a new
method or model fails here until somebody has said who may use it.
"""

import inspect
import json
import xmlrpc.client
from contextlib import contextmanager
from unittest.mock import patch
from urllib.parse import urlsplit

from lxml import etree

from odoo import Command
from odoo.exceptions import AccessError, UserError
from odoo.service.model import call_kw, get_public_method
from odoo.tests import HttpCase, new_test_user, tagged
from odoo.tools import mute_logger

from .common import DunningCommon

PDF = b"%PDF-1.4\n%proof of payment\n"

#: Everybody who has nothing to do with the reminders of the company.
OUTSIDE = ("public", "stranger", "customer", "employee", "admin", "foreigner")
READ = ("reader", "biller", "manager")
BILL = ("biller", "manager")
MANAGE = ("manager",)
NOBODY = ()
#: Without rights of its own: opens a window, which asks for the rights; or refuses
#: whatever the record behind it refuses.
ANYBODY = (*OUTSIDE, *READ)

#: Who may call each public method that is ours alone. A foreigner is an accountant of
#: another company: he may, of his own records.
METHODS = {
    "account.move": {
        "action_dunning_claim_book": BILL,
        "action_dunning_claim_restore": BILL,
        "action_dunning_claim_waive": BILL,
        "action_dunning_compose": BILL,
        "action_dunning_off": BILL,
        "action_dunning_on": BILL,
        "action_dunning_pause": ANYBODY,
        "action_dunning_plan": ANYBODY,
        "action_dunning_remind": BILL,
        "action_dunning_resume": BILL,
        "action_view_dunning_overdue": ANYBODY,
        "action_view_dunning_reminders": ANYBODY,
    },
    "dunning.ageing": {"action_open_invoice": READ},
    "dunning.analysis": {"action_open_reminder": READ},
    "dunning.answer": {"action_open_plan": BILL},
    "dunning.comparison": {"action_open_invoice": READ},
    "dunning.enrollment": {
        "action_approve": BILL,
        "action_compose": BILL,
        "action_export_collection": BILL,
        "action_hand_over": BILL,
        "action_leave_comparison": BILL,
        "action_open_postpone": READ,
        "action_open_reminder": READ,
        "action_open_work_list": (*READ, "foreigner"),
        "action_postpone": BILL,
        "action_print": BILL,
        "action_record": BILL,
        "action_remind": BILL,
        "action_restart": BILL,
        "action_skip": BILL,
        "action_start_anyway": BILL,
        "action_take_back": BILL,
    },
    "dunning.hold": {"action_close": BILL},
    "dunning.letter.proof": {"action_confirm": BILL},
    "dunning.partner.enroll": {"action_confirm": BILL},
    "dunning.plan": {"action_confirm": BILL},
    "dunning.promise.analysis": {"action_open_promise": READ},
    "dunning.reminder": {
        "action_approve": BILL,
        "action_cancel": BILL,
        "action_confirm_sent": BILL,
        "action_other_address": BILL,
        "action_print": BILL,
        "action_registered": BILL,
        "action_retry": BILL,
        "action_skip": BILL,
        "action_undo": BILL,
        "action_view_move": READ,
    },
    "dunning.reminder.compose": {"action_send": BILL},
    "dunning.reminder.line": {"action_view_reminder": READ},
    "dunning.sequence": {
        "action_delete": ANYBODY,
        "action_simulate": READ,
        "action_start": MANAGE,
        "action_stop": MANAGE,
        "action_view_enrollments": ANYBODY,
        "action_view_partners": READ,
        "action_view_reminders": ANYBODY,
    },
    "dunning.sequence.delete": {"action_delete": MANAGE},
    "dunning.sequence.step": {"action_preview": BILL, "action_send_test": BILL},
    "dunning.simulation": {
        "action_open": (*READ, "foreigner"),
        "action_send": READ,
        "action_simulate": READ,
        "action_start": MANAGE,
        "action_view_by_hand": ANYBODY,
        "action_view_reminders": ANYBODY,
        "action_view_silent": ANYBODY,
    },
    "dunning.simulation.line": {"action_open_invoice": READ},
    "dunning.step.preview": {"action_send_test": BILL},
    # Customers are shared: he sees what they owe his own company.
    "res.partner": {
        "action_dunning_compose": (*BILL, "foreigner"),
        "action_dunning_pause": ANYBODY,
        "action_dunning_resume": (*BILL, "foreigner"),
        "action_view_dunning_overdue": ANYBODY,
        "action_view_dunning_reminders": ANYBODY,
    },
}

#: What we override: Odoo's own methods, which ask for the rights themselves.
OVERRIDDEN = {
    "copy",
    "copy_data",
    "create",
    "default_get",
    "mail_allowed_qweb_expressions",  # a list of words
    "unlink",
    "update_field_translations",
    "write",
}

#: Who may read, write, create and delete the records of each model of ours.
MODELS = {
    "dunning.ageing": (READ, NOBODY, NOBODY, NOBODY),
    "dunning.analysis": (READ, NOBODY, NOBODY, NOBODY),
    "dunning.answer": (READ, NOBODY, NOBODY, NOBODY),
    "dunning.attempt": (("admin",), NOBODY, NOBODY, NOBODY),
    "dunning.claim.waiver": (READ, NOBODY, BILL, NOBODY),
    "dunning.comparison": (READ, NOBODY, NOBODY, NOBODY),
    "dunning.day": (("admin",), NOBODY, NOBODY, NOBODY),
    "dunning.enrollment": (READ, NOBODY, NOBODY, NOBODY),
    "dunning.hold": (READ, BILL, BILL, MANAGE),
    "dunning.interest.rate": (READ, MANAGE, MANAGE, MANAGE),
    "dunning.letter.proof": (BILL, BILL, BILL, NOBODY),
    "dunning.letter.proof.line": (BILL, BILL, BILL, BILL),
    "dunning.mark": (("admin",), NOBODY, NOBODY, NOBODY),
    "dunning.partner.enroll": (BILL, BILL, BILL, NOBODY),
    "dunning.plan": (BILL, BILL, BILL, NOBODY),
    "dunning.plan.line": (BILL, BILL, BILL, BILL),
    "dunning.promise.analysis": (READ, NOBODY, NOBODY, NOBODY),
    "dunning.recap": (("admin",), NOBODY, NOBODY, NOBODY),
    "dunning.reminder": (READ, NOBODY, NOBODY, NOBODY),
    "dunning.reminder.compose": (BILL, BILL, BILL, BILL),
    "dunning.reminder.compose.line": (BILL, BILL, BILL, BILL),
    "dunning.reminder.compose.skip": (BILL, BILL, BILL, BILL),
    "dunning.reminder.line": (READ, NOBODY, NOBODY, NOBODY),
    "dunning.sequence": (READ, MANAGE, MANAGE, MANAGE),
    "dunning.sequence.delete": (MANAGE, MANAGE, MANAGE, NOBODY),
    "dunning.sequence.step": (READ, MANAGE, MANAGE, MANAGE),
    "dunning.simulation": (READ, READ, READ, READ),
    "dunning.simulation.line": (READ, NOBODY, NOBODY, NOBODY),
    "dunning.step.preview": (BILL, NOBODY, NOBODY, NOBODY),
    "dunning.told": (("admin",), NOBODY, NOBODY, NOBODY),
}
OPERATIONS = ("read", "write", "create", "unlink")

#: All the ways by which Odoo lets a client read: method, and arguments after the ids.
#: The second list is of models, without ids.
READING_RECORDS = (
    ("read", (["id", "display_name"],)),
    ("web_read", ({"id": {}, "display_name": {}},)),
    ("export_data", (["display_name"],)),
    ("copy", ()),
)
READING_MODELS = (
    ("search", ([],)),
    ("search_count", ([],)),
    ("search_read", ([], ["id"])),
    ("web_search_read", ([], {"id": {}})),
    ("name_search", ("",)),
    ("read_group", ([], ["id"], ["id"])),
    ("web_read_group", ([], ["create_date:day"])),
    ("formatted_read_group", ([], ["id"], ["__count"])),
)


def is_ours(cls):
    return ".dunning_sequences." in f"{cls.__module__}."


def is_name_ours(node, view):
    """Does a button that stands in a view of ours call a method of ours?"""
    name = node.get("name") or node.get("action")
    return "dunning" in view.model or "dunning" in name


@tagged("post_install", "-at_install")
class TestAccess(HttpCase, DunningCommon):
    """The tables above, and ways around them."""

    def registry_enter_test_mode(self, **_kwargs):
        """`HttpCase` did so for the whole class."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.sequence = cls._create_default((7,), {"delay": 14, "mode": "approval"})
        cls.invoice = cls._create_invoice_due("03-01")
        cls.other_customer = cls._create_customer("Other")
        cls.paid = cls._create_invoice_due("03-01")
        cls._register_payment(cls.paid)
        cls.there = cls.setup_other_company(
            name="There", email="there@test.example.com", dunning_tz="UTC"
        )["company"]
        cls._create_users()

    @classmethod
    def _create_users(cls):
        contacts = "base.group_partner_manager,base.group_allow_export"
        cls.users = {
            "public": cls.env.ref("base.public_user"),
            "stranger": cls._create_portal("stranger", cls.other_customer),
            "customer": cls._create_portal("customer", cls.customer),
            "employee": cls._create_user("employee", contacts),
            "admin": cls._create_user("admin", "base.group_system"),
            "foreigner": cls._create_user(
                "foreigner",
                f"account.group_account_manager,{contacts}",
                company_id=cls.there.id,
                company_ids=[Command.set(cls.there.ids)],
            ),
            "reader": cls._create_user("reader", "account.group_account_readonly"),
            "biller": cls._create_user(
                "biller", f"account.group_account_invoice,{contacts}"
            ),
            "manager": cls._create_user(
                "manager", f"account.group_account_manager,{contacts}"
            ),
        }

    @classmethod
    def _create_portal(cls, name, customer):
        """Somebody of a customer who has a login of his own."""
        user = new_test_user(
            cls.env,
            login=f"dunning_{name}",
            groups="base.group_portal",
            email=f"{name}@customer.example.com",
            company_id=cls.company.id,
            company_ids=[Command.set(cls.company.ids)],
        )
        user.partner_id.parent_id = customer
        return user

    def as_user(self, records, who):
        """Records as a request of a user finds them: nothing is known yet."""
        self.env.flush_all()
        self.env.invalidate_all()
        return records.with_env(self.env(user=self.users[who], su=False, context={}))

    @contextmanager
    def undone(self):
        with self.env.cr.savepoint() as savepoint:
            yield
            savepoint.rollback()
        self.env.invalidate_all()
        self.env.cr.precommit.clear()

    def call(self, records, who, name, *args, **kwargs):
        """Call a method as a browser does."""
        records = self.as_user(records, who)
        method = get_public_method(records, name)
        ids = () if getattr(method, "_api_model", False) else (records.ids,)
        return call_kw(records.browse(), name, [*ids, *args], kwargs)

    def is_refused(self, records, who, name, *args, **kwargs):
        """Is a user told that he may not? What is wrong otherwise does not count."""
        with (
            self.undone(),
            mute_logger(
                "odoo.addons.base.models.ir_rule", "odoo.models", "odoo.sql_db"
            ),
        ):
            try:
                self.call(records, who, name, *args, **kwargs)
                self.env.flush_all()
            except AccessError:
                return True
            except UserError:
                return False
            return False

    def assertRefused(self, records, who, name, *args, **kwargs):
        label = f"{who}: {records._name}.{name}{args}"
        self.assertTrue(self.is_refused(records, who, name, *args, **kwargs), label)

    # ------------------------------------------------------------------------
    # THE TABLES ARE COMPLETE
    # ------------------------------------------------------------------------

    def _get_public_methods(self):
        """Yield (model, name, do others define it): what we define for callers."""
        for model in self.env.registry.models.values():
            ours, others = set(), set()
            for parent in model.__mro__:
                names = {n for n, v in vars(parent).items() if inspect.isfunction(v)}
                (ours if is_ours(parent) else others).update(names)
            for name in ours:
                private = getattr(getattr(model, name), "_api_private", False)
                if not name.startswith("_") and not private:
                    yield model._name, name, name in others

    def test_each_public_method_says_who_may_call_it(self):
        own, overridden = {}, set()
        for model, name, known in self._get_public_methods():
            if known:
                overridden.add(name)
            else:
                own.setdefault(model, set()).add(name)
        self.assertEqual(own, {model: set(names) for model, names in METHODS.items()})
        self.assertLessEqual(overridden, OVERRIDDEN)

    def test_each_button_calls_what_is_in_the_table(self):
        known = {name for names in METHODS.values() for name in names}
        views = self._get_own_records("ir.ui.view")
        self.assertGreater(len(views), 30)
        for view in views:
            for node in etree.fromstring(view.arch).iter("button", "list", "kanban"):
                if node.get("type") == "object" and is_name_ours(node, view):
                    name = node.get("name") or node.get("action")
                    self.assertIn(name, known, view.name)

    def test_actions_of_menus_and_lists_are_for_groups(self):
        actions = self._get_own_records("ir.actions.server")
        actions = actions.filtered(lambda action: action.usage != "ir_cron")
        self.assertGreater(len(actions), 5)
        for action in actions:
            self.assertTrue(action.group_ids, action.name)
            for who in OUTSIDE[:-1]:
                if who != "admin":  # he may run any action, with his own rights
                    self.assertRefused(action, who, "run")

    def _get_own_records(self, model):
        data = self.env["ir.model.data"].search(
            [("module", "=", "dunning_sequences"), ("model", "=", model)]
        )
        return self.env[model].browse(data.mapped("res_id")).exists()

    # ------------------------------------------------------------------------
    # RECORDS
    # ------------------------------------------------------------------------

    def _create_records(self):
        """One record of each model, as the company's daily work makes them."""
        self.run_on("03-08")
        self.root["dunning.recap"]._claim(self.env.user, self.today(), {})
        self.invoice._dunning_mark()
        self.commit()
        told = {"move_id": self.invoice.id, "sequence_id": self.sequence.id}
        self.root["dunning.told"].create(
            {**told, "kind": "before", "day": self.today()}
        )
        records = {
            name: self.env[name].sudo().search([], limit=1).sudo(False)
            for name in MODELS
            if not self.env[name]._transient
        }
        hold = {"partner_id": self.other_customer.id, "company_id": self.company.id}
        promise = {**hold, "kind": "promise", "until": self.today()}
        promise = self.env["dunning.hold"].create(promise)
        compared = self.get_enrollment(self.invoice)
        compared.sudo().comparison = "reminded"
        reminder = self.get_last_reminder(self.invoice)
        said = {"kind": "paid", "date": self.today(), "move_ids": self.invoice}
        answer = self.root["dunning.answer"]._accept(reminder.with_env(self.root), said)
        answer.hold_id.action_close()
        waiver = {"move_id": self.invoice.id, "reason": "Our fault"}
        rate = {"date_from": "2026-01-01", "rate": 9, "company_id": self.company.id}
        records.update(
            {
                "account.move": self.invoice,
                "res.partner": self.customer,
                "dunning.answer": answer.with_env(self.env),
                "dunning.claim.waiver": self.env["dunning.claim.waiver"].create(waiver),
                "dunning.comparison": self.env["dunning.comparison"].browse(
                    compared.id
                ),
                "dunning.enrollment": compared,
                "dunning.hold": self.env["dunning.hold"].create(hold),
                "dunning.interest.rate": self.env["dunning.interest.rate"].create(rate),
                "dunning.promise.analysis": self.env["dunning.promise.analysis"].browse(
                    promise.id
                ),
                "dunning.reminder": reminder,
                "dunning.reminder.line": reminder.line_ids,
                "dunning.sequence": self.sequence,
                "dunning.sequence.step": self.sequence.step_ids[:1],
            }
        )
        return records

    def _create_wizards(self, who):
        """One record of each wizard, made by the user himself where he may."""
        wizards, env = {}, self.env(user=self.users[who])
        for name, create in (
            ("dunning.simulation", self._simulate),
            ("dunning.reminder.compose", self._open_composer),
            ("dunning.partner.enroll", self._open_enrolling),
            ("dunning.sequence.delete", self._open_deleting),
            ("dunning.step.preview", self._preview),
            ("dunning.letter.proof", self._open_proofs),
            ("dunning.plan", self._open_plan),
        ):
            self.env.invalidate_all()
            with mute_logger("odoo.addons.base.models.ir_rule"):
                try:
                    with self.env.cr.savepoint():
                        wizards[name] = create(env)
                        self.env.flush_all()
                except AccessError:
                    self.assertNotIn(who, MODELS[name][0], name)
        if "dunning.simulation" in wizards:
            lines = wizards["dunning.simulation"].line_ids
            wizards["dunning.simulation.line"] = lines[:1]
        if "dunning.reminder.compose" in wizards:
            composer = wizards["dunning.reminder.compose"]
            wizards["dunning.reminder.compose.line"] = composer.line_ids[:1]
            wizards["dunning.reminder.compose.skip"] = composer.skip_ids[:1]
        if "dunning.plan" in wizards:
            wizards["dunning.plan.line"] = wizards["dunning.plan"].line_ids[:1]
        if "dunning.letter.proof" in wizards:
            lines = wizards["dunning.letter.proof"].line_ids
            wizards["dunning.letter.proof.line"] = lines
        return wizards

    def _open_proofs(self, env):
        line = {"reminder_id": self.get_last_reminder(self.invoice).id}
        return env["dunning.letter.proof"].create({"line_ids": [Command.create(line)]})

    def _open_plan(self, env):
        return env["dunning.plan"].create({"move_ids": [Command.set(self.invoice.ids)]})

    def _simulate(self, env):
        simulation = env["dunning.simulation"].create(
            {"company_id": self.company.id, "sequence_id": self.sequence.id}
        )
        simulation.action_simulate()
        return simulation

    def _open_composer(self, env):
        action = (self.invoice + self.paid).with_env(env).action_dunning_compose()
        return env[action["res_model"]].browse(action["res_id"])

    def _open_enrolling(self, env):
        return env["dunning.partner.enroll"].create(
            {
                "company_id": self.company.id,
                "partner_ids": [Command.set(self.customer.ids)],
                "policy": "none",
            }
        )

    def _open_deleting(self, env):
        return env["dunning.sequence.delete"].create(
            {"sequence_ids": [Command.set(self.sequence.ids)]}
        )

    def _preview(self, env):
        action = self.sequence.step_ids[:1].with_env(env).action_preview()
        return env[action["res_model"]].browse(action["res_id"])

    # ------------------------------------------------------------------------
    # THE MATRIX
    # ------------------------------------------------------------------------

    def test_each_method_and_each_wizard_by_each_user(self):
        records = self._create_records()
        made = {who: self._create_wizards(who) for who in self.users}
        for model, names in METHODS.items():
            for who in self.users:
                mine = made[who].get(model) or records.get(model)
                record = mine or made["manager"][model]
                for name, allowed in names.items():
                    with self.subTest(f"{who}: {model}.{name}"):
                        if allowed == ANYBODY:
                            self._check_opens_a_window(record, who, name)
                        else:
                            refused = self.is_refused(record, who, name)
                            self.assertEqual(refused, who not in allowed)
        self._check_wizards_are_ones_own(made)

    def _check_opens_a_window(self, record, who, name):
        with self.undone(), mute_logger("odoo.addons.base.models.ir_rule"):
            try:
                action = self.call(record, who, name)
            except AccessError:
                self.assertIn(who, OUTSIDE)
            except UserError as error:
                self.assertTrue(error.args[0], "says why")
            else:
                self.assertEqual(action["type"], "ir.actions.act_window")

    def _check_wizards_are_ones_own(self, made):
        """A manager neither reads nor runs what a colleague has open."""
        for model, record in made["biller"].items():
            self.assertTrue(record, model)
            self.assertRefused(record, "manager", "read", ["display_name"])
            self.assertRefused(record, "manager", "write", {"create_uid": 1})
            found = self.call(record, "manager", "search", [])
            self.assertNotIn(record.id, found, model)
            for name, allowed in METHODS.get(model, {}).items():
                if (
                    allowed != ANYBODY and name != "action_open"
                ):  # which makes a new one
                    self.assertRefused(record, "manager", name)

    def test_each_model_by_each_user(self):
        ours = {
            name
            for name, model in self.env.registry.models.items()
            if model._original_module == "dunning_sequences" and not model._abstract
        }
        self.assertEqual(ours, set(MODELS))
        records = self._create_records()
        for model, rights in MODELS.items():
            for who, user in self.users.items():
                for operation, allowed in zip(OPERATIONS, rights, strict=True):
                    with self.subTest(f"{who}: {operation} {model}"):
                        may = self.env[model].with_user(user).has_access(operation)
                        expected = "manager" if who == "foreigner" else who
                        self.assertEqual(may, expected in allowed)
            if model in records:
                self._check_reading(records[model], rights[0])

    def _check_reading(self, record, readers):
        """By whatever way a client reads: all or nothing, and nothing of others."""
        self.assertTrue(record, record._name)
        for who in ("customer", "employee", "foreigner"):
            for name, args in READING_RECORDS:
                if (who, name) != ("customer", "export_data"):  # nobody's in the portal
                    self.assertRefused(record, who, name, *args)
        for name, args in READING_MODELS:
            self.assertRefused(record, "customer", name, *args)
            self.assertRefused(record, "employee", name, *args)
        if "reader" in readers:
            self.assertIn(record.id, self.call(record, "reader", "search", []))
            self.assertNotIn(record.id, self.call(record, "foreigner", "search", []))
            self.call(record, "reader", "web_read", {"display_name": {}})

    # ------------------------------------------------------------------------
    # OUR FIELDS ON MODELS OF OTHERS
    # ------------------------------------------------------------------------

    def test_a_customer_reads_nothing_of_it_by_rpc(self):
        """He reads his invoices, his contact and his company: not our fields."""
        self.run_on("03-08")
        self.invoice.dunning_paused = True
        for record in (self.invoice, self.customer, self.company):
            names = [
                name
                for name, field in record._fields.items()
                if field._module == "dunning_sequences"
            ]
            self.assertTrue(names)
            self.call(record, "customer", "read", ["display_name"])
            described = self.call(record, "customer", "fields_get")
            self.assertFalse(described.keys() & set(names))
            for name in names:
                self.assertRefused(record, "customer", "read", [name])
                field = record._fields[name]
                if (field.store or field.search) and not field.required:
                    domain = [(name, "!=", False), ("id", "in", record.ids)]
                    self.assertRefused(record, "customer", "search_count", domain)
        status = (self.invoice, "customer")
        self.assertRefused(*status, "search", [("dunning_status", "=", "paused")])
        self.assertRefused(*status, "search", [], order="dunning_status")
        group = ([], ["dunning_status"], ["__count"])
        self.assertRefused(*status, "formatted_read_group", *group)
        self.assertIn(
            ("paused", 1),
            self.env["account.move"]
            .with_user(self.users["reader"])
            ._read_group([], ["dunning_status"], ["__count"]),
        )

    # ------------------------------------------------------------------------
    # FORGED: what a browser can send, but no button does
    # ------------------------------------------------------------------------

    def _create_there(self):
        """The same in another company: (invoice, sequence)."""
        sequence = self._create_sequence(
            [(5,), (15,)], prefix="T", company_id=self.there.id, default=True
        )
        invoice = self._create_invoice_due("03-01", company_id=self.there)
        return invoice, sequence

    # ------------------------------------------------------------------------
    # ANOTHER COMPANY
    # ------------------------------------------------------------------------

    def test_nothing_of_another_company_is_named_in_ones_own_records(self):
        theirs, sequence = self._create_there()
        secret = self._create_customer("Secret", company_id=self.there.id)
        hold = self.env["dunning.hold"].create(
            {"move_ids": [Command.set(theirs.ids)], "company_id": self.there.id}
        )
        mine = self.env["dunning.hold"].create(
            {"move_ids": [Command.set(self.invoice.ids)]}
        )
        for record, vals in (
            (self.invoice, {"dunning_sequence_id": sequence.id}),
            (self.invoice, {"dunning_recipient_ids": [Command.link(secret.id)]}),
            (self.invoice, {"dunning_hold_ids": [Command.link(hold.id)]}),
            (self.invoice, {"dunning_hold_ids": [Command.update(hold.id, {})]}),
            (self.customer, {"dunning_sequence_id": sequence.id}),
            (self.customer, {"dunning_hold_ids": [Command.link(hold.id)]}),
            (mine, {"move_ids": [Command.link(theirs.id)]}),
            (mine, {"move_ids": [Command.clear()], "partner_id": secret.id}),
            (mine, {"company_id": self.there.id}),
            (self.sequence, {"partner_ids": [Command.link(secret.id)]}),
            (self.sequence, {"company_id": self.there.id}),
            (self.sequence.step_ids[:1], {"sequence_id": sequence.id}),
        ):
            with self.subTest(f"{record._name} {vals}"):
                self.assertFailsAndChangesNothing(record, "manager", "write", vals)
        for model, vals in (
            ("dunning.hold", {"move_ids": [Command.set(theirs.ids)]}),
            ("dunning.hold", {"partner_id": secret.id}),
            (
                "dunning.hold",
                {"partner_id": self.customer.id, "company_id": self.there.id},
            ),
            ("dunning.sequence", {"name": "Mine", "company_id": self.there.id}),
            ("dunning.sequence.step", {"name": "Mine", "sequence_id": sequence.id}),
        ):
            with self.subTest(f"{model} {vals}"):
                empty = self.env[model]
                self.assertFailsAndChangesNothing(empty, "manager", "create", vals)

    def assertFailsAndChangesNothing(self, records, who, name, *args, **kwargs):
        """By what is a message, and no traceback."""
        with (
            self.undone(),
            mute_logger("odoo.addons.base.models.ir_rule"),
            self.assertRaises(UserError),
        ):
            self.call(records, who, name, *args, **kwargs)
            self.env.flush_all()

    def test_wizards_about_another_company_are_refused(self):
        theirs, sequence = self._create_there()
        for model, vals, button in (
            (
                "dunning.reminder.compose",
                {"move_ids": [Command.set(theirs.ids)]},
                "action_send",
            ),
            (
                "dunning.reminder.compose",
                {
                    "move_ids": [Command.set(self.invoice.ids)],
                    "step_id": sequence.step_ids[0].id,
                },
                "action_send",
            ),
            (
                "dunning.partner.enroll",
                {
                    "partner_ids": [Command.set(self.customer.ids)],
                    "sequence_id": sequence.id,
                },
                "action_confirm",
            ),
            (
                "dunning.sequence.delete",
                {"sequence_ids": [Command.set(sequence.ids)]},
                "action_delete",
            ),
            ("dunning.simulation", {"sequence_id": sequence.id}, "action_simulate"),
            ("dunning.simulation", {"sequence_id": sequence.id}, "action_start"),
        ):
            with self.subTest(f"{model} {vals}"), self.undone():
                with self.assertRaises(UserError):
                    with mute_logger("odoo.addons.base.models.ir_rule"):
                        created = self.call(self.env[model], "manager", "create", vals)
                        record = self.env[model].browse(created)
                        self.call(record, "manager", button)
                        self.env.flush_all()

    def test_companies_of_the_context_are_ones_own(self):
        theirs, _sequence = self._create_there()
        context = {"allowed_company_ids": [self.there.id, self.company.id]}
        for record, name, args in (
            (self.env["dunning.simulation"], "action_open", ()),
            (self.env["dunning.enrollment"], "search_read", ([], ["move_id"])),
            (self.env["dunning.analysis"], "search_read", ([], ["move_id"])),
            (self.env["dunning.ageing"], "search_read", ([], ["move_id"])),
            (theirs, "action_dunning_compose", ()),
            (self.customer, "action_dunning_compose", ()),
            (self.customer, "write", ({"dunning_policy": "none"},)),
        ):
            with self.subTest(f"{record}.{name}"):
                self.assertRefused(record, "manager", name, *args, context=context)

    def test_a_simulation_shows_only_ones_own_company(self):
        theirs, _sequence = self._create_there()
        vals = {"company_id": self.there.id}
        Simulation = self.env["dunning.simulation"]
        with self.undone():
            simulation = Simulation.browse(
                self.call(Simulation, "reader", "create", vals)
            )
            self.call(simulation, "reader", "action_simulate")
            self.assertFalse(simulation.sudo().line_ids)
            self.assertNotIn(theirs.name, simulation.with_user(1).summary)

    def test_a_branch_reads_the_sequences_of_its_parent_and_writes_its_own(self):
        branch = self.env["res.company"].create(
            {"name": "Branch", "parent_id": self.company.id}
        )
        self.users["branch"] = self._create_user(
            "branch",
            "account.group_account_manager",
            company_id=branch.id,
            company_ids=[Command.set(branch.ids)],
        )
        self.addCleanup(self.users.pop, "branch")
        step = self.sequence.step_ids[:1]
        self.call(self.sequence, "branch", "read", ["name"])
        self.call(step, "branch", "read", ["name"])
        new = {**self._prepare_step("M", 9, (40,)), "sequence_id": self.sequence.id}
        for record, name, args in (
            (self.sequence, "write", ({"name": "Mine"},)),
            (self.sequence, "action_stop", ()),
            (self.sequence, "unlink", ()),
            (step, "write", ({"delay": 1},)),
            (step, "unlink", ()),
            (step.browse(), "create", (new,)),
        ):
            self.assertRefused(record, "branch", name, *args)
        copied = self.call(self.sequence, "branch", "copy", {"company_id": branch.id})
        self.call(self.sequence.browse(copied), "branch", "action_start")

    # ------------------------------------------------------------------------
    # WHO MAY NOT, BY ANOTHER WAY
    # ------------------------------------------------------------------------

    def test_fields_that_write_holds_ask_for_the_rights_of_holds(self):
        for who in ("customer", "employee", "reader", "foreigner"):
            for vals in (
                {"dunning_paused": True},
                {"dunning_pause_until": "2026-04-01"},
                {"dunning_promise_date": "2026-04-01"},
                {"dunning_disputed": True},
                {"dunning_policy": "none"},
                {"dunning_email_to": "me@attacker.example.com"},
                {"dunning_hold_ids": [Command.create({"kind": "pause"})]},
            ):
                self.assertRefused(self.invoice, who, "write", vals)
        for who in ("customer", "employee", "reader"):
            for vals in (
                {"dunning_paused": True},
                {"dunning_pause_until": "2026-04-01"},
                {"dunning_policy": "none"},
                {"dunning_user_id": self.users["employee"].id},
                {"dunning_hold_ids": [Command.create({"kind": "pause"})]},
            ):
                self.assertRefused(self.customer, who, "write", vals)

    def test_no_contact_is_made_a_customer_without_reminders(self):
        """A contact has his customer's sequence, until he is a customer himself."""
        contact = self._create_contact(self.customer, "Bob")
        none = {"dunning_policy": "none"}
        self.assertRefused(contact, "employee", "write", none)
        self.assertRefused(contact, "employee", "write", {**none, "is_company": True})
        self.assertRefused(contact, "employee", "write", {**none, "parent_id": False})
        new = {"name": "New", **none}
        self.assertRefused(self.env["res.partner"], "employee", "create", new)
        self.call(contact, "employee", "write", {"is_company": True})
        self.assertRefused(contact, "employee", "write", none)
        self.customer.dunning_policy = "none"
        copied = self.call(self.customer, "employee", "copy")
        self.assertFalse(self.customer.browse(copied).dunning_policy)

    def test_nobody_holds_in_the_name_of_another(self):
        vals = {"partner_id": self.customer.id, "user_id": self.users["manager"].id}
        hold = self.env["dunning.hold"]
        hold = hold.browse(self.call(hold, "biller", "create", vals))
        self.assertEqual(hold.user_id, self.users["biller"])
        self.call(hold, "biller", "write", {"user_id": self.users["manager"].id})
        self.assertEqual(hold.user_id, self.users["biller"])

    def test_an_activity_is_done_by_whom_it_asks(self):
        call = {"delay": 7, "channel": "activity", "content": "template"}
        call.update(subject=False, body=False, template_id=False)
        self.sequence.action_stop()
        sequence = self._create_default(call)
        sequence.user_id = self.users["biller"]
        reminder = self.run_day("03-08")
        for who in ("customer", "employee", "foreigner"):
            for name in ("action_feedback", "action_done", "unlink"):
                self.assertRefused(reminder.activity_id, who, name)
        self.assertEqual(reminder.state, "to_do")

    def test_what_the_context_says_of_a_cron_commits_nothing(self):
        """Half of what somebody asks for is not kept when the rest is refused."""
        self.sequence.attach_invoice = True
        self.travel("03-08")
        self.drain()
        progress = (
            self.env["ir.cron.progress"]
            .sudo()
            .create({"cron_id": self.env.ref("base.autovacuum_job").id})
        )
        context = {
            "ir_cron_progress_id": progress.id,
            "cron_id": progress.cron_id.id,
            "dunning_brake": "forged",
        }
        with (
            patch.object(self.env.registry["ir.cron"], "_commit_progress") as commit,
            patch("odoo.addons.dunning_sequences.models.dunning_enrollment.request", 1),
        ):
            self.call(self.invoice, "biller", "action_dunning_remind", context=context)
        commit.assert_not_called()
        self.assertEqual(self.get_last_reminder(self.invoice).state, "queued")

    # ------------------------------------------------------------------------
    # THE COMPOSER
    # ------------------------------------------------------------------------

    def _get_composer(self):
        action = self.call(self.invoice, "biller", "action_dunning_compose")
        return self.root["dunning.reminder.compose"].browse(action["res_id"])

    def test_a_composer_sends_only_what_was_opened(self):
        other = self._create_invoice_due("03-01", customer=self.other_customer)
        theirs, _sequence = self._create_there()
        wizard = self._get_composer()
        for vals in (
            {"move_ids": [Command.link(other.id)]},
            {"move_ids": [Command.link(theirs.id)]},
            {"move_ids": [Command.set(other.ids)]},
        ):
            lines = {"line_ids": [Command.update(wizard.line_ids.id, vals)]}
            with self.undone(), self.assertRaises(UserError):
                self.call(wizard, "biller", "write", lines)
                self.call(wizard, "biller", "action_send")
        foreign = {"move_ids": [Command.set(theirs.ids)]}
        self.assertFailsAndChangesNothing(wizard, "biller", "write", foreign)

    def test_a_form_that_was_tampered_with_shows_nobody_unseen(self):
        """Values that a browser makes up are read with its user's rights."""
        theirs, sequence = self._create_there()
        secret = self._create_customer(
            "Secret", company_id=self.there.id, is_company=False
        )
        wizard = self._get_composer()
        greeting = "<p>Dear {{ contact_name }}</p>"
        self.sequence.step_ids.body = greeting
        spec = dict.fromkeys(("subject", "body", "preview_body", "email_from"), {})
        fields = {"step_id": {}, "recipient_ids": {}}
        spec.update(move_ids={}, step_id={}, line_ids={"fields": fields})
        line = wizard.line_ids.id
        step = {"step_id": sequence.step_ids[0].id}
        people = {"recipient_ids": [Command.set(secret.ids)]}
        for values in (
            {"move_ids": [Command.set(theirs.ids)]},
            step,
            {"line_ids": [Command.update(line, step)]},
            {"line_ids": [Command.update(line, people)]},
        ):
            with self.subTest(values), self.undone():
                with mute_logger("odoo.addons.base.models.ir_rule"):
                    try:
                        shown = self.call(
                            wizard, "biller", "onchange", values, list(values), spec
                        )
                    except AccessError:
                        continue
                self.assertNotIn("Secret", str(shown))
                self.assertNotIn(theirs.name, str(shown))
                self.assertNotIn("there@", str(shown))

    def test_files_of_others_are_not_sent_by_a_template(self):
        """A template sends its files to customers: they must be its writer's."""
        secret = self.env["ir.attachment"].create({"name": "secret.txt", "raw": b"x"})
        vals = {
            "name": "Mine",
            "model_id": self.env["ir.model"]._get_id("dunning.reminder"),
            "subject": "A",
            "body_html": "<p>B</p>",
        }
        Template = self.env["mail.template"]
        files = {"attachment_ids": [Command.link(secret.id)]}
        self.assertRefused(Template, "biller", "create", {**vals, **files})
        mine = Template.browse(self.call(Template, "biller", "create", vals))
        self.assertRefused(mine, "biller", "write", files)

    # ------------------------------------------------------------------------
    # BY URL
    # ------------------------------------------------------------------------

    def _login(self, who):
        if who == "public":
            self.authenticate(None, None)
        else:
            login = self.users[who].login
            self.authenticate(login, login)

    def _fetch(self, url):
        """Return what a page says, and the status that it has."""
        response = self.url_open(url, allow_redirects=False)
        return response.text if response.ok else "", response.status_code

    def _call_by_url(self, model, method, *args):
        """Return what the web client would get, as text."""
        params = {"model": model, "method": method, "args": args, "kwargs": {}}
        response = self.url_open(
            f"/web/dataset/call_kw/{model}/{method}",
            data=json.dumps({"jsonrpc": "2.0", "method": "call", "params": params}),
            headers={"Content-Type": "application/json"},
        )
        return response.text

    def test_by_url_nobody_gets_more(self):
        """Real requests: reports, files, the portal, its chatter, JSON and XML-RPC."""
        self.sequence.attach_statement = True
        self.sequence.step_ids[0].body = "<p>Told in confidence</p>{{ invoice_table }}"
        other = self._create_invoice_due("03-01")
        self.run_on("03-08")
        reminder = self.get_last_reminder(self.invoice)
        self.assertEqual(reminder.move_ids, self.invoice + other)
        file = reminder.mail_message_id.attachment_ids
        self.assertEqual(file.res_model, "dunning.reminder")
        note = self._record_call(other)
        self.env.flush_all()
        urls = (
            f"/report/html/dunning_sequences.report_dunning_letter/{reminder.id}",
            f"/report/html/dunning_sequences.report_dunning_statement/{reminder.id}",
            f"/web/content/{file.id}",
            f"/web/content/dunning.reminder/{reminder.id}/body",
            f"/mail/view?model=dunning.reminder&res_id={reminder.id}",
            f"/my/invoices/{self.invoice.id}",
            f"/my/invoices/{self.invoice.id}?access_token={self.invoice.access_token}",
        )
        with mute_logger(
            "odoo.http",
            "odoo.addons.base.models.ir_rule",
            "odoo.addons.base.models.ir_qweb",
        ):
            for who in ("public", "stranger", "customer", "employee", "foreigner"):
                self._login(who)
                for url in urls:
                    with self.subTest(f"{who}: {url}"):
                        text, _status = self._fetch(url)
                        self.assertNotIn("Told in confidence", text)
                        self.assertNotIn("Statement of account", text)
                        if "/my/" in url:
                            self.assertNotIn(other.name, text)
                for call in (
                    ("dunning.reminder", "read", reminder.ids, ["body"]),
                    ("dunning.reminder", "_deliver"),
                    ("dunning.enrollment", "_run"),
                    ("mail.message", "read", note.ids, ["body"]),
                ):
                    with self.subTest(f"{who}: {call}"):
                        answer = self._call_by_url(*call)
                        self.assertIn("error", answer)
                        self.assertNotIn("Told in confidence", answer)
                self._check_chatter(who)
            self._login("reader")
            for url in urls[:2]:
                self.assertEqual(self._fetch(url)[1], 200, url)
            self.assertIn("Told in confidence", self._fetch(urls[0])[0])

    def _call_by_xmlrpc(self, who, records, method, *args):
        """Return what a program of this user gets; None when it is refused."""
        login = self.users[who].login
        args = [records.ids, *args] if records.ids else list(args)
        params = (self.env.cr.dbname, self.users[who].id, login, records._name)
        response = self.url_open(
            "/xmlrpc/2/object",
            data=xmlrpc.client.dumps((*params, method, args), "execute_kw"),
            headers={"Content-Type": "text/xml"},
        )
        try:
            ((result,), _name) = xmlrpc.client.loads(response.text)
        except xmlrpc.client.Fault as fault:
            self.assertEqual(fault.faultCode, 4, fault.faultString)  # AccessError
            self.assertNotIn("Told in confidence", str(fault))
            return None
        return result

    def _call_by_json2(self, key, records, method, **kwargs):
        """The same, of a program with a key of this user."""
        kwargs = {**kwargs, "ids": records.ids} if records.ids else kwargs
        response = self.url_open(
            f"/json/2/{records._name}/{method}",
            data=json.dumps(kwargs),
            headers={
                "Content-Type": "application/json",
                "Authorization": f"bearer {key}",
            },
        )
        if not response.ok:
            self.assertIn(response.status_code, (403, 404), response.text)
            self.assertNotIn("Told in confidence", response.text)
            return None
        return response.json()

    def _generate_key(self, who):
        keys = self.env(user=self.users[who])["res.users.apikeys"].sudo()
        return keys._generate(None, "test", None)

    def test_programs_get_no_more_than_browsers(self):
        """By XML-RPC, and by /json/2 with a key."""
        self.sequence.step_ids[0].body = "<p>Told in confidence</p>"
        self.run_on("03-08")
        reminder = self.get_last_reminder(self.invoice)
        Hold = self.env["dunning.hold"]
        hold = {"partner_id": self.customer.id, "company_id": self.company.id}
        refused = (
            (self.invoice, "action_dunning_off", {}),
            (reminder, "action_skip", {}),
            (reminder, "read", {"fields": ["body"]}),
            (reminder, "write", {"vals": {"state": "queued"}}),
            (reminder, "unlink", {}),
            (Hold, "create", {"vals_list": [hold]}),
            (reminder, "_fail", {"reason": "forged"}),
            (reminder.browse(), "_deliver", {}),
            (reminder.browse(), "_find_answered", {"token": "x"}),
            (self.get_enrollment(self.invoice).browse(), "_run", {}),
        )
        before = reminder.read(["state", "write_date"])
        with mute_logger(
            "odoo.http",
            "odoo.addons.rpc.controllers.xmlrpc",
            "odoo.addons.base.models.ir_model",
            "odoo.addons.base.models.ir_rule",
        ):
            for who in ("customer", "employee", "foreigner"):
                key = self._generate_key(who)
                self.assertTrue(
                    self._call_by_xmlrpc(who, self.customer, "read", ["name"])
                )
                for records, name, kwargs in refused:
                    with self.subTest(f"{who}: {records}.{name}"):
                        args = (who, records, name, *kwargs.values())
                        self.assertIsNone(self._call_by_xmlrpc(*args))
                        args = (key, records, name)
                        self.assertIsNone(self._call_by_json2(*args, **kwargs))
        self.env.invalidate_all()
        self.assertEqual(reminder.read(["state", "write_date"]), before)
        self.assertFalse(self.customer.dunning_hold_ids)
        self.assertFalse(self.invoice.dunning_policy)
        read = (reminder, "read")
        with mute_logger("odoo.addons.rpc.controllers.xmlrpc"):
            (values,) = self._call_by_xmlrpc("reader", *read, ["body"])
        self.assertIn("Told in confidence", values["body"])
        key = self._generate_key("biller")
        (values,) = self._call_by_json2(key, *read, fields=["body"])
        self.assertIn("Told in confidence", values["body"])
        self._call_by_json2(key, self.invoice, "action_dunning_off")
        self.env.invalidate_all()
        self.assertEqual(self.invoice.dunning_policy, "none")

    def test_files_and_answers_are_for_whom_they_are(self):
        """Files of reminders and of answers; the page behind a reminder's link."""
        theirs, _sequence = self._create_there()
        self.sequence.attach_statement = True
        self._create_invoice_due("03-01", 4711)  # one is no statement
        self.run_on("03-08")
        reminder = self.get_last_reminder(self.invoice)
        statement = reminder.mail_message_id.attachment_ids
        said = {"kind": "paid", "date": self.today(), "move_ids": self.invoice}
        self.root["dunning.answer"]._accept(
            reminder.with_env(self.root), said, [("proof.pdf", PDF)]
        )
        proof = self.invoice.message_ids.attachment_ids.filtered(
            lambda file: file.name == "proof.pdf"
        )
        self.env.flush_all()
        files = {statement: statement.raw, proof: PDF}
        self.assertTrue(all(files.values()))
        forms = ("/web/content/{}", "/web/content/ir.attachment/{}/raw")
        forms += ("/web/image/{}", "/web/image/ir.attachment/{}/raw")
        with mute_logger("odoo.http", "odoo.addons.base.models.ir_rule"):
            for who in ("public", "stranger", "employee", "foreigner", "reader"):
                self._login(who)
                for file, content in files.items():
                    for form in forms:
                        url = form.format(file.id)
                        with self.subTest(f"{who}: {url}"):
                            found = self.url_open(url, allow_redirects=False).content
                            # Reading as a picture what is none may give none.
                            if who != "reader":
                                self.assertNotIn(content, found)
                            elif "content" in url:
                                self.assertIn(content, found)
        self._check_page_of_another_company(theirs, reminder)

    def _check_page_of_another_company(self, theirs, reminder):
        """Who is asked by another company learns nothing of what he owes this one."""
        self._login("public")
        ours = ("4,711", self.company.name, self.company.email)
        links = {theirs: self.get_last_reminder(theirs), self.invoice: reminder}
        for move, asked in links.items():
            page = self.url_open(urlsplit(asked._get_answer_url()).path).text
            self.assertIn(f"/my/invoices/{move.id}?", page)
            for word in ours:
                self.assertEqual(word in page, asked == reminder, word)
        self.assertNotIn(self.there.email, page)

    def _record_call(self, invoice):
        """Return the note of what was said on the phone."""
        action = invoice.action_dunning_compose()
        wizard = self.env["dunning.reminder.compose"].browse(action["res_id"])
        wizard.write({"outcome": "recorded", "note": "Told in confidence"})
        wizard.action_send()
        note = self.get_last_reminder(invoice).mail_message_id
        self.assertIn("Told in confidence", note.body)
        return note

    def _check_chatter(self, who):
        """The customer's chatter, also of who has the link of his invoice."""
        token = {"token": self.invoice.access_token}
        response = self.url_open(
            "/mail/thread/messages",
            data=json.dumps(
                {
                    "params": {
                        "thread_model": "account.move",
                        "thread_id": self.invoice.id,
                        **token,
                    }
                }
            ),
            headers={"Content-Type": "application/json"},
        )
        self.assertNotIn("Told in confidence", response.text, who)
