{
    "name": "Payment Reminder Sequences: Dashboard",
    "summary": "What is overdue, what reminders bring in and who keeps his promises, "
    "in Odoo's dashboards",
    "version": "19.0.1.0.0",
    "category": "Accounting/Accounting",
    "author": "Dunning Sequences contributors",
    "license": "LGPL-3",
    "depends": ["dunning_sequences", "spreadsheet_dashboard"],
    "data": ["data/dashboards.xml"],
    "assets": {
        "web.assets_tests": [
            "dunning_sequences_spreadsheet/static/tests/tours/*.js",
        ],
    },
    "auto_install": True,
    "installable": True,
}
