import { registry } from "@web/core/registry";
import { openInvoicing, openMenu } from "./tour_steps";

const BLOCK = "#dunning_default, #dunning_hours, #dunning_safety";
const input = (name) => `:is(${BLOCK}) .o_field_widget[name=${name}] input`;

const fill = (content, name, value) => ({
    content,
    trigger: input(name),
    run: `edit ${value} && press Tab`,
});

// The company's default, its hours and its limits, in the settings of Invoicing.
registry.category("web_tour.tours").add("dunning_settings_are_saved", {
    url: "/odoo",
    steps: () => [
        ...openInvoicing(),
        ...openMenu("Configuration", "Settings"),
        {
            content: "Look for the default sequence",
            trigger: input("dunning_sequence_id"),
            run: "edit Strict",
        },
        {
            content: "Take it",
            trigger: ".o-autocomplete--dropdown-item:contains(Strict)",
            run: "click",
        },
        fill("Not before nine", "dunning_hour_from", "9:00"),
        fill("Not after five", "dunning_hour_to", "17:00"),
        fill("At most so many a day", "dunning_day_limit", "300"),
        fill("With bank statements of this week", "dunning_statement_days", "7"),
        {
            content: "Save",
            trigger: ".o_form_button_save",
            run: "click",
            expectUnloadPage: true,
        },
        {
            content: "The page comes back",
            trigger: ".o_web_client .o_main_navbar",
        },
    ],
});
