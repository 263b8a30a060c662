import { registry } from "@web/core/registry";
import { openInvoicing } from "./tour_steps";

// From the invoice list: one mail per invoice, an address typed in, one text for all.
registry.category("web_tour.tours").add("dunning_reminders_are_sent", {
    url: "/odoo",
    steps: () => [
        ...openInvoicing(),
        {
            content: "Choose all invoices",
            trigger: ".o_list_view thead .o_list_record_selector input",
            run: "click",
        },
        {
            content: "Open the actions",
            trigger: ".o_cp_action_menus .dropdown-toggle:contains(Actions)",
            run: "click",
        },
        {
            content: "Send payment reminders",
            trigger: ".o-dropdown--menu .dropdown-item:contains(Send payment reminders)",
            run: "click",
        },
        {
            content: "One mail a customer",
            trigger: ".modal .o_field_widget[name=line_ids]:has(.o_data_row:eq(1)):not(:has(.o_data_row:eq(2)))",
        },
        {
            content: "One per invoice",
            trigger: ".modal .o_field_widget[name=grouping] label:contains(One per invoice)",
            run: "click",
        },
        {
            content: "There are three",
            trigger: ".modal .o_field_widget[name=line_ids] .o_data_row:eq(2)",
        },
        {
            content: "One lacks an address: type it",
            trigger: ".modal .o_data_row:contains(No e-mail address) td[name=email_to]",
            run: "click",
        },
        {
            content: "The address",
            trigger: ".modal .o_selected_row td[name=email_to] input",
            run: "edit blue@example.com && press Tab",
        },
        {
            content: "Nothing is missing any more",
            trigger: ".modal:not(:has(.o_data_row:contains(No e-mail address)))",
        },
        {
            content: "Write a text for all",
            trigger: ".modal a.nav-link[name=text]",
            run: "click",
        },
        {
            content: "Type it here",
            trigger: ".modal .o_field_widget[name=is_typed] input",
            run: "click",
        },
        {
            content: "The subject",
            trigger: ".modal .o_field_widget[name=typed_subject] input",
            run: "edit Please {{ invoice_number }}",
        },
        {
            content: "The text",
            trigger: ".modal .o_field_widget[name=typed_body] .odoo-editor-editable",
            run: "editor You owe us {{ amount_due }}.",
        },
        {
            content: "Send",
            trigger: ".modal-footer button[name=action_send]:contains(Send)",
            run: "click",
        },
        {
            content: "It says what became of it",
            trigger: ".o_notification:contains(about to leave: 3)",
        },
    ],
});

// From the invoice: change the text of the coming reminder for this once, and send it.
registry.category("web_tour.tours").add("dunning_reminder_is_written", {
    url: "/odoo",
    steps: () => [
        ...openInvoicing(),
        {
            content: "Open the invoice",
            trigger: ".o_data_row:contains(Azure) td[name=name]",
            run: "click",
        },
        {
            content: "Remind",
            trigger: "button[name=action_dunning_compose]",
            run: "click",
        },
        {
            content: "It goes to the customer",
            trigger: ".modal .o_field_widget[name=email_to] input:value(azure@example.com)",
        },
        {
            content: "The text is filled in",
            trigger: ".modal .o_field_widget[name=body] .odoo-editor-editable:contains(Dear Azure)",
        },
        {
            content: "A copy",
            trigger: ".modal .o_field_widget[name=email_cc] input",
            run: "edit boss@example.com",
        },
        {
            content: "Another subject",
            trigger: ".modal .o_field_widget[name=subject] input",
            run: "edit A word about your invoice",
        },
        {
            content: "Another text",
            trigger: ".modal .o_field_widget[name=body] .odoo-editor-editable",
            run: "editor As we said on the phone, please pay.",
        },
        {
            content: "Send",
            trigger: ".modal-footer button[name=action_send]:contains(Send)",
            run: "click",
        },
        {
            content: "It says what became of it",
            trigger: ".o_notification:contains(about to leave: 1)",
        },
        {
            content: "The composer is closed",
            trigger: "body:not(:has(.modal))",
        },
    ],
});
