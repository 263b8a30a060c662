import json

from odoo.tests import HttpCase, tagged
from odoo.tools import file_open

from odoo.addons.dunning_sequences.tests.common import DunningCommon
from odoo.addons.spreadsheet.utils.validate_data import (
    fields_in_spreadsheet,
    menus_xml_ids_in_spreadsheet,
    odoo_charts,
)

FOLDER = "dunning_sequences_spreadsheet/data/files"


@tagged("post_install", "-at_install")
class TestDashboard(HttpCase, DunningCommon):
    """What the dashboard names exists, and it asks for what can be told."""

    def registry_enter_test_mode(self, **_kwargs):
        """`HttpCase` did so for the whole class."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.dashboard = cls.env.ref("dunning_sequences_spreadsheet.dashboard_dunning")
        cls.reader = cls._create_user("reader", "account.group_account_readonly")
        cls.live = cls._read_file("dunning_dashboard")
        cls.sample = cls._read_file("dunning_sample_dashboard")

    @classmethod
    def _read_file(cls, name):
        with file_open(f"{FOLDER}/{name}.json") as file:
            return json.load(file)

    def get_measure(self, model, name):
        """As the browser asks for it."""
        if name == "__count":
            return name
        aggregator = self.env[model]._fields[name].aggregator
        self.assertTrue(aggregator, f"{model}.{name}")
        return f"{name}:{aggregator}"

    def test_what_it_names_exists(self):
        for name, names in fields_in_spreadsheet(self.live).items():
            for field in names:
                self.assertIn(field, self.env[name]._fields, f"{name}.{field}")
        for data in (self.live, self.sample):
            for xml_id in {
                *data["chartOdooMenusReferences"].values(),
                *menus_xml_ids_in_spreadsheet(data),
            }:
                self.assertTrue(self.env.ref(xml_id).action, xml_id)

    def test_sample_and_live_look_the_same(self):
        live, sample = self.live["sheets"][0], self.sample["sheets"][0]
        for key in ("cols", "rows", "borders", "styles"):
            self.assertEqual(live[key], sample[key])
        places = [
            [(figure["id"], figure["offset"]) for figure in sheet["figures"]]
            for sheet in (live, sample)
        ]
        self.assertEqual(*places)

    def test_each_figure_is_told_to_who_reads_invoices(self):
        self._create_default((7,), (14,))
        first = self._create_invoice_due("03-01", 100)
        self._create_invoice_due("03-01", 470)
        self.run_on("03-02")
        first.dunning_promise_date = self.today()
        self.travel("03-04")
        self.pay(first)
        self.run_on("03-04..03-08")
        second = self._create_invoice_due("03-20", 50)
        self.run_on("03-27")
        self.pay(second)
        self.env.flush_all()
        found = {}
        for pivot in self.live["pivots"].values():
            model = pivot["model"]
            rows = [row["fieldName"] for row in pivot["rows"]]
            names = [measure["fieldName"] for measure in pivot["measures"]]
            measures = [self.get_measure(model, name) for name in names]
            *_groups, (total,) = (
                self.env[model]
                .with_user(self.reader)
                .formatted_read_grouping_sets(
                    pivot["domain"], [rows, []] if rows else [[]], measures
                )
            )
            values = (total[measure] for measure in measures)
            found[pivot["id"]] = dict(zip(names, values, strict=True))
        self.assertEqual(found["4"], {"amount": 470, "amount_91": 0})
        self.assertEqual((found["5"]["__count"], found["5"]["paid_30"]), (3, 50))
        self.assertEqual(found["5"]["median_days"], 0)
        self.assertEqual(found["6"], {"__count": 1, "kept": 1})
        for chart in odoo_charts(self.live):
            data = chart["metaData"]
            groups = (
                self.env[data["resModel"]]
                .with_user(self.reader)
                .formatted_read_group(
                    chart["searchParams"]["domain"],
                    data["groupBy"],
                    [self.get_measure(data["resModel"], data["measure"])],
                )
            )
            self.assertTrue(groups, chart["id"])

    def test_it_is_opened_and_leads_to_the_reports(self):
        self._create_default((7,))
        self._create_invoice_due("03-01", 470)
        self.run_on("03-08")
        self.env.flush_all()
        self.start_tour("/odoo", "dunning_dashboard_is_opened", login=self.reader.login)

    def test_who_finds_it(self):
        dashboard = self.dashboard.with_user(self.reader)
        self.assertTrue(json.loads(dashboard.spreadsheet_data)["pivots"])
        clerk = self._create_user("clerk")
        Dashboard = self.env["spreadsheet.dashboard"].with_user(clerk)
        self.assertFalse(Dashboard.search([("id", "=", self.dashboard.id)]))
