"""What a database consists of, as lines of text to compare; see test_schema.py."""

from pathlib import Path

from odoo.modules import get_manifest

MODULE = "dunning_sequences"

#: A file for each released version, and one for the version to come.
FOLDER = Path(__file__).with_name("data")

QUERY = """
SELECT 'table ' || relname || CASE relkind WHEN 'v' THEN ' (view)' ELSE '' END
  FROM pg_class
 WHERE relkind IN ('r', 'v', 'm') AND relnamespace = 'public'::regnamespace
UNION ALL
SELECT 'column ' || relname || '.' || attname || ' '
       || format_type(atttypid, atttypmod)
       || CASE WHEN attnotnull THEN ' not null' ELSE '' END
  FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
 WHERE relkind IN ('r', 'v', 'm') AND relnamespace = 'public'::regnamespace
   AND attnum > 0 AND NOT attisdropped
UNION ALL
SELECT 'constraint ' || conrelid::regclass || ' ' || conname || ' '
       || pg_get_constraintdef(oid)
  FROM pg_constraint
 WHERE connamespace = 'public'::regnamespace AND contype != 'n'
UNION ALL
SELECT 'index ' || indexdef FROM pg_indexes WHERE schemaname = 'public'
UNION ALL
SELECT 'sequence ' || relname FROM pg_class
 WHERE relkind = 'S' AND relnamespace = 'public'::regnamespace
UNION ALL
SELECT 'trigger ' || tgrelid::regclass || ' ' || tgname FROM pg_trigger
 WHERE NOT tgisinternal
"""


#: Fields that the addons beside this one add to its models, or to those of others.
OTHERS = """
SELECT field.name FROM ir_model_fields field
  JOIN ir_model_data data ON data.model = 'ir.model.fields' AND data.res_id = field.id
 GROUP BY field.id
HAVING bool_or(data.module LIKE %s) AND NOT bool_or(data.module = %s)
"""


def describe(cr, ours=True):
    """Return the sorted lines; only those of this module, unless it says otherwise."""
    cr.execute(QUERY)
    lines = sorted(line for (line,) in cr.fetchall())
    if not ours:
        return lines
    cr.execute(OTHERS, [rf"{MODULE}\_%", MODULE])
    others = [name for (name,) in cr.fetchall()]
    return [
        line
        for line in lines
        if "dunning" in line and not any(name in line for name in others)
    ]


def get_version():
    return get_manifest(MODULE)["version"]


def get_file(version):
    return FOLDER / f"schema_{version}.txt"


def get_versions():
    """Return {version: lines}, the oldest first."""
    versions = {
        path.stem.removeprefix("schema_"): path.read_text().splitlines()
        for path in FOLDER.glob("schema_*.txt")
    }
    return {name: versions[name] for name in sorted(versions, key=to_numbers)}


def to_numbers(version):
    return [int(number) for number in version.split(".")]
