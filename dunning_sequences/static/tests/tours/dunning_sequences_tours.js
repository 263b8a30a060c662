import { registry } from "@web/core/registry";
import { stepUtils } from "@web_tour/tour_utils";

const openMenu = (...names) =>
    names.map((name, depth) => ({
        content: `Open ${name}`,
        trigger: depth
            ? `.o-dropdown--menu .dropdown-item:contains(${name})`
            : `.o_menu_sections button:contains(${name})`,
        run: "click",
    }));

const openInvoicing = () => [
    stepUtils.showAppsMenuItem(),
    {
        content: "Open Invoicing",
        trigger: ".o_app[data-menu-xmlid='account.menu_finance']",
        run: "click",
    },
    {
        content: "Its first page closes the menus that are open while it loads",
        trigger: ".o_last_breadcrumb_item:contains(Invoices)",
    },
];

// From the menu to a sequence that runs: two steps, one by template, one typed.
registry.category("web_tour.tours").add("dunning_sequence_is_written_and_started", {
    url: "/odoo",
    steps: () => [
        ...openInvoicing(),
        ...openMenu("Configuration", "Reminder Sequences"),
        {
            content: "The ready-made sequences are there, in draft",
            trigger: ".o_data_row:contains(Standard reminders):contains(Draft)",
        },
        {
            content: "Write a new one",
            trigger: ".o_list_button_add",
            run: "click",
        },
        {
            content: "Name it",
            trigger: ".o_field_widget[name=name] input, .o_field_widget[name=name] textarea",
            run: "edit Friendly",
        },
        {
            content: "Add a step",
            trigger: ".o_field_widget[name=step_ids] a:contains(Add a line)",
            run: "click",
        },
        {
            content: "Name the step",
            trigger: ".modal .o_field_widget[name=name] input",
            run: "edit Courtesy notice",
        },
        {
            content: "Two days before the due date",
            trigger: ".modal .o_field_widget[name=delay] input",
            run: "edit -2 && press Tab",
        },
        {
            content: "The form says it in words",
            trigger: ".modal .o_field_widget[name=timing]:contains(2 days before the due date)",
        },
        {
            content: "Look for the template",
            trigger: ".modal .o_field_widget[name=template_id] input",
            run: "edit courtesy",
        },
        {
            content: "Take it",
            trigger: ".o-autocomplete--dropdown-item:contains(courtesy notice)",
            run: "click",
        },
        {
            content: "Save and write another step",
            trigger: ".modal .o_form_button_save_new",
            run: "click",
        },
        {
            content: "The second step begins with the usual seven days",
            trigger: ".modal .o_field_widget[name=delay] input:value(7)",
        },
        {
            content: "Name the second step",
            trigger: ".modal .o_field_widget[name=name] input",
            run: "edit First reminder",
        },
        {
            content: "Type its text here",
            trigger: ".modal .o_field_widget[name=content] label:contains(Text typed here)",
            run: "click",
        },
        {
            content: "Its subject",
            trigger: ".modal .o_field_widget[name=subject] input",
            run: "edit Reminder: {{ invoice_number }}",
        },
        {
            content: "Its text",
            trigger: ".modal .o_field_widget[name=body] .odoo-editor-editable",
            run: "editor Dear {{ contact_name }}, please pay {{ amount_due }}.",
        },
        {
            content: "Save the step",
            trigger: ".modal .o_form_button_save",
            run: "click",
        },
        {
            content: "It stands in the list, in words",
            trigger: ".o_field_widget[name=step_ids] .o_data_row:contains(7 days after the due date)",
        },
        ...stepUtils.saveForm(),
        {
            content: "Start it",
            trigger: "button[name=action_simulate]:contains(Start)",
            run: "click",
        },
        {
            content: "See first what it would do",
            trigger: ".o_form_view:contains(No open invoice follows this sequence yet)",
        },
        {
            content: "Start it now",
            trigger: "button[name=action_start]",
            run: "click",
        },
        {
            content: "Say that this is meant",
            trigger: ".modal .modal-footer .btn-primary:contains(Start)",
            run: "click",
        },
        {
            content: "It runs",
            trigger: ".o_arrow_button_current:contains(Running)",
        },
    ],
});

// From the menu to an invoice whose reminders wait, and go on: with billing rights.
registry.category("web_tour.tours").add("dunning_invoice_is_paused_and_resumed", {
    url: "/odoo",
    steps: () => [
        ...openInvoicing(),
        ...openMenu("Customers", "Coming Reminders"),
        {
            content: "The customer's invoice is followed",
            trigger: ".o_data_row:contains(Azure):contains(Running)",
        },
        ...openMenu("Customers", "Invoices"),
        {
            content: "Open the invoice",
            trigger: ".o_data_row:contains(Azure) td[name=name]",
            run: "click",
        },
        {
            content: "Open its reminders",
            trigger: "a.nav-link[name=dunning]",
            run: "click",
        },
        {
            content: "It says what comes next",
            trigger: ".o_field_widget[name=dunning_explanation]:contains(leaves on)",
        },
        {
            content: "Pause",
            trigger: "button[name=action_dunning_pause]",
            run: "click",
        },
        {
            content: "Give a reason",
            trigger: ".modal .o_field_widget[name=reason] input",
            run: "edit Wrong address",
        },
        {
            content: "Confirm",
            trigger: ".modal-footer .btn-primary:contains(Pause)",
            run: "click",
        },
        {
            content: "It is paused, at once",
            trigger: ".o_field_widget[name=dunning_status]:contains(Paused)",
        },
        {
            content: "The reason shows",
            trigger: ".o_field_widget[name=dunning_pause_reason]:contains(Wrong address)",
        },
        {
            content: "Resume",
            trigger: "button[name=action_dunning_resume]",
            run: "click",
        },
        {
            content: "It goes on",
            trigger: ".o_field_widget[name=dunning_status]:contains(Active)",
        },
    ],
});
