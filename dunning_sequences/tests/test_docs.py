import re
from pathlib import Path

from odoo.tests import TransactionCase, tagged

TESTS = Path(__file__).parent
ROOT = TESTS.parents[1]
DOCS = ROOT / "docs"

TEST = re.compile(r"`(test_\w+)::(test_\w+)`")
HOOK = re.compile(r"`(_\w+)\(.*?\)`")


@tagged("post_install", "-at_install")
class TestDocs(TransactionCase):
    """What the documentation names is there."""

    def setUp(self):
        super().setUp()
        if not DOCS.is_dir():
            self.skipTest("The addon alone is installed: its documentation is not.")

    def test_each_rule_names_a_test_that_exists(self):
        self._check_rows("rules.md", 30)

    def test_each_feature_names_a_test_that_exists(self):
        self._check_rows("features.md", 60)

    def _check_rows(self, name, number):
        rules = [
            line
            for line in (DOCS / name).read_text().splitlines()
            if line.startswith("| ")
            and not line.startswith(("| rule", "| id", "| ---"))
        ]
        self.assertGreater(len(rules), number)
        for rule in rules:
            named = TEST.findall(rule)
            self.assertTrue(named, rule)
            for module, test in named:
                (file,) = ROOT.glob(f"dunning_sequences*/tests/{module}.py")
                source = file.read_text()
                self.assertIn(f"def {test}(", source, f"{module}::{test}")

    def test_each_hook_is_a_method_of_its_model(self):
        """The first table of extending.md: the last column is the model."""
        text = (DOCS / "extending.md").read_text()
        rows = [line for line in text.splitlines() if HOOK.search(line)]
        rows = [line for line in rows if line.startswith("| ")]
        self.assertGreater(len(rows), 8)
        for row in rows:
            model = row.rstrip(" |").rpartition("`")[0].rpartition("`")[2]
            for hook in HOOK.findall(row):
                self.assertTrue(hasattr(self.env[model], hook), f"{model}.{hook}")
