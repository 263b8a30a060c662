import { registry } from "@web/core/registry";
import { openInvoicing, openMenu } from "./tour_steps";

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
