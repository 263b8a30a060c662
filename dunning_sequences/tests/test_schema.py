from pathlib import Path

from odoo.tests import TransactionCase, tagged

from .schema import describe, get_version, get_versions

MIGRATIONS = Path(__file__).parents[1] / "migrations"

CHANGED = """The tables are not those of version {version} any more:
{lines}
If {version} was released, count up the version in the manifest. A new field needs no
more. One that is renamed, or whose values mean something else, needs a script in
migrations/VERSION/, and an installation with rows in it to try it on.
Then write down what there is now: dev/schema"""

GONE = """Version {version} has no more
{lines}
Users of {before} lose what is in there, unless migrations/{version}/ saves it.
If there is nothing to save, say so in a migrations/{version}/pre-migration.py."""


@tagged("post_install", "-at_install")
class TestSchema(TransactionCase):
    """No change of the tables without a version, and a way to it from the one before.

    `make torture ARGS=life` upgrades a database from the release before.
    """

    def test_the_tables_are_those_of_the_version(self):
        versions = get_versions()
        version = get_version()
        self.assertEqual(list(versions)[-1], version, "Run dev/schema")
        self.assertFalse(get_change(version, versions[version], describe(self.env.cr)))

    def test_what_is_gone_was_saved(self):
        problems = get_losses(get_versions(), self._has_migration)
        self.assertFalse(problems, "\n".join(problems))

    def _has_migration(self, version):
        return any((MIGRATIONS / version).glob("*.py"))

    def test_a_change_is_told(self):
        change = get_change("19.0.1.0.0", ["column a", "column b"], ["column a"])
        self.assertIn("- column b", change)
        self.assertIn("dev/schema", change)
        self.assertIsNone(get_change("19.0.1.0.0", ["column a"], ["column a"]))

    def test_a_loss_is_told(self):
        versions = {
            "19.0.1.0.0": ["column a integer", "index i", "column b date"],
            "19.0.1.1.0": ["column a integer", "column b date not null"],
            "19.0.2.0.0": ["column c integer", "column b date not null"],
        }
        [problem] = get_losses(versions, lambda version: False)
        self.assertIn("19.0.2.0.0 has no more", problem)
        self.assertIn("column a", problem)
        self.assertNotIn("column b", problem)
        self.assertFalse(get_losses(versions, lambda version: True))


def get_change(version, known, found):
    """Say what to do about tables that are not as written down; None if they are."""
    lines = [f"- {line}" for line in known if line not in found]
    lines += [f"+ {line}" for line in found if line not in known]
    return CHANGED.format(version=version, lines="\n".join(lines)) if lines else None


def get_losses(versions, has_migration):
    """Say for each version what it has no more, and has no script for.

    :param versions: {version: lines}, the oldest first
    """
    problems = []
    names = list(versions)
    for before, version in zip(names, names[1:], strict=False):
        gone = get_columns(versions[before]) - get_columns(versions[version])
        if gone and not has_migration(version):
            lines = "\n".join(sorted(gone))
            problems.append(GONE.format(version=version, before=before, lines=lines))
    return problems


def get_columns(lines):
    """Without "not null", which may come and go."""
    return {
        line.removesuffix(" not null") for line in lines if line.startswith("column ")
    }
