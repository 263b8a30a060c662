{
    "name": "Payment Reminder Sequences: Sales",
    "summary": "Warns on a quotation when payment reminders have come to the last step",
    "version": "19.0.1.0.0",
    "category": "Accounting/Accounting",
    "author": "Dunning Sequences contributors",
    "license": "LGPL-3",
    "depends": ["dunning_sequences", "sale"],
    "data": ["views/sale_order_views.xml"],
    "auto_install": True,
    "installable": True,
}
