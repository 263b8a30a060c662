"""Run in `odoo shell` once, in the template database, by dev/prepare.

Every database of this checkout is a copy of the template, so it holds what is
slow to make, and is silent without a network.
"""

# ruff: noqa: F821  (env comes from odoo shell)
company = env.company

# French is there to be chosen; the users stay with English.
lang = env.ref("base.lang_fr")
env["base.language.install"].create({"lang_ids": [(6, 0, lang.ids)]}).lang_install()
env["res.users"].with_context(active_test=False).search([]).write({"lang": "en_US"})
env["ir.default"].set("res.partner", "lang", "en_US")

# Any chart of accounts will do; without a country Odoo may have chosen none.
if not company.chart_template:
    env["account.chart.template"].try_loading(
        "generic_coa", company=company, install_demo=False
    )

# Nothing in a development database has a reason to call a server on the internet.
env["ir.config_parameter"].set_param("iap.endpoint", "http://127.0.0.1:9")
env["ir.config_parameter"].set_param("database.is_neutralized", False)
for cron in env["ir.cron"].with_context(active_test=False).search([]):
    if "publisher_warranty" in (cron.code or "") or "update_notification" in (
        cron.code or ""
    ):
        cron.active = False

# Files go into the database: so a copy of it is complete. Later ones are files again.
params = env["ir.config_parameter"]
params.set_param("ir_attachment.location", "db")
env["ir.qweb"]._pregenerate_assets_bundles()
env["ir.attachment"].force_storage()
params.search([("key", "=", "ir_attachment.location")]).unlink()
env.cr.commit()
print("SEED READY")
