import { registry } from "@web/core/registry";
import { stepUtils } from "@web_tour/tour_utils";
import { openInvoicing, openMenu, row } from "./tour_steps";

const field = (name) => `.o_field_widget[name=${name}]`;

const choose = (name, value) => [
    {
        content: `Look for ${value}`,
        trigger: `${field(name)} input`,
        run: `edit ${value}`,
    },
    {
        content: `Take ${value}`,
        trigger: `.o-autocomplete--dropdown-item:contains(${value})`,
        run: "click",
    },
];

// Who reminds a customer, with what, from when on, and to whom it goes.
registry.category("web_tour.tours").add("dunning_customer_is_set_up", {
    url: "/odoo",
    steps: () => [
        ...openInvoicing(),
        ...openMenu("Customers", "Customers"),
        {
            content: "Open the customer",
            trigger: `${row("Azure")} td[name=complete_name]`,
            run: "click",
        },
        {
            content: "Open a contact",
            trigger: ".o_kanban_record:contains(Ann)",
            run: "click",
        },
        {
            content: "She gets the reminders",
            trigger: `.modal ${field("dunning_contact")} a`,
            run: "click",
        },
        {
            content: "Keep it",
            trigger: ".modal .o_form_button_save",
            run: "click",
        },
        {
            content: "Back on the customer",
            trigger: "body:not(:has(.modal))",
        },
        {
            content: "Open his reminders",
            trigger: ".o_notebook .nav-link[name=dunning]",
            run: "click",
        },
        {
            content: "Not as all others",
            trigger: `${field("dunning_policy")} input`,
            run: "click",
        },
        {
            content: "A sequence of its own",
            trigger: ".o_select_menu_item:contains(of its own)",
            run: "click",
        },
        ...choose("dunning_sequence_id", "Strict"),
        ...choose("dunning_user_id", "dunning_billing"),
        {
            content: "For now, pause",
            trigger: `${field("dunning_paused")} input`,
            run: "click",
        },
        {
            content: "Until when?",
            trigger: `${field("dunning_pause_until")} input`,
            run: "edit 03/15/2040 && press Tab",
        },
        ...stepUtils.saveForm(),
        {
            content: "The star is in the list of those who get reminders",
            trigger: `${field("dunning_contact_ids")}:contains(Ann)`,
        },
        {
            content: "The pause is listed",
            trigger: `${field("dunning_shown_hold_ids")} .o_data_row:contains(Pause)`,
        },
    ],
});
