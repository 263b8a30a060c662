import { registry } from "@web/core/registry";
import { openInvoicing } from "./tour_steps";

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
