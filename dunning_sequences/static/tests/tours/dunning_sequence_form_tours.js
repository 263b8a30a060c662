import { registry } from "@web/core/registry";
import { stepUtils } from "@web_tour/tour_utils";
import { openInvoicing, openMenu } from "./tour_steps";

const STEPS = ".o_field_widget[name=step_ids]";
const ROW = `${STEPS} .o_selected_row`;
const POINT = ".o_dunning_timeline .o_dunning_point";

const openSequences = () => [
    ...openInvoicing(),
    ...openMenu("Configuration", "Reminder Sequences"),
];

const openSequence = (name) => [
    ...openSequences(),
    {
        content: `Open ${name}`,
        trigger: `.o_data_row td[name=name]:contains(${name})`,
        run: "click",
    },
    {
        content: "Its steps are drawn around the due date",
        trigger: ".o_dunning_timeline .o_dunning_due_date:contains(Due date)",
    },
];

const addStep = (name, days, moment) => [
    {
        content: "Add a step",
        trigger: `${STEPS} .o_field_x2many_list_row_add a:contains(Add a step)`,
        run: "click",
    },
    {
        content: "Name it",
        trigger: `${ROW} [name=name] input`,
        run: `edit ${name}`,
    },
    {
        content: "In how many days?",
        trigger: `${ROW} [name=days] input`,
        run: `edit ${days} && press Tab`,
    },
    {
        content: "Before or after what?",
        trigger: `${ROW} [name=moment] input`,
        run: "click",
    },
    {
        content: `It is ${moment}`,
        trigger: `.o_select_menu_item:contains(${moment})`,
        run: "click",
    },
];

const openGear = (entry) => [
    {
        content: "Open the gear",
        trigger: ".o_cp_action_menus button:has(.fa-cog)",
        run: "click",
    },
    {
        content: `Choose ${entry}`,
        trigger: `.o-dropdown--menu .dropdown-item:contains(${entry})`,
        run: "click",
    },
];

// From the menu to a sequence that runs: two steps, one by template, one typed.
registry.category("web_tour.tours").add("dunning_sequence_is_written_and_started", {
    url: "/odoo",
    steps: () => [
        ...openSequences(),
        {
            content: "The ready-made sequences are there, in draft",
            trigger: ".o_data_row:contains(Standard reminders):contains(Draft)",
        },
        {
            content: "And what to do first",
            trigger: ".o_dunning_guide:contains(Nothing leaves yet)",
        },
        {
            content: "Write a new one",
            trigger: ".o_list_button_add",
            run: "click",
        },
        {
            content: "Name the sequence",
            trigger: ".o_field_widget[name=name] input, .o_field_widget[name=name] textarea",
            run: "edit Friendly",
        },
        ...addStep("Courtesy notice", 2, "before the due date"),
        {
            content: "It is drawn in words, before it is saved",
            trigger: `${POINT}:contains(Courtesy notice):contains(2 days before the due date)`,
        },
        {
            content: "Look for the template",
            trigger: `${ROW} [name=template_id] input`,
            run: "edit courtesy",
        },
        {
            content: "Take it",
            trigger: ".o-autocomplete--dropdown-item:contains(courtesy notice)",
            run: "click",
        },
        ...addStep("First reminder", 7, "after the due date"),
        {
            content: "Open it in a dialog, unsaved as it is",
            trigger: `${ROW} .o_list_record_open_form_view button`,
            run: "click",
        },
        {
            content: "Type its text here",
            trigger: ".modal .o_field_widget[name=content] label:contains(Text typed here)",
            run: "click",
        },
        {
            content: "Its subject",
            trigger: ".modal .o_field_widget[name=subject] input",
            run: "edit Reminder:",
        },
        {
            content: "Which invoice? There is a field for that",
            trigger: ".modal .o_field_widget[name=subject] .o_dunning_merge_fields",
            run: "click",
        },
        {
            content: "It has a name in words",
            trigger: ".o_dunning_merge_fields_menu .dropdown-item:contains(Invoice Number)",
            run: "click",
        },
        {
            content: "It stands where the cursor was",
            trigger: ".modal .o_field_widget[name=subject] input:value({{ invoice_number }})",
        },
        {
            content: "Its text",
            trigger: ".modal .o_field_widget[name=body] .odoo-editor-editable",
            run: "editor Please pay ",
        },
        {
            content: "Insert a field",
            trigger: ".modal .o_field_widget[name=body] .o_dunning_merge_fields",
            run: "click",
        },
        {
            content: "How much?",
            trigger: ".o_dunning_merge_fields_menu .dropdown-item:contains(Amount Due)",
            run: "click",
        },
        {
            content: "It stands in the text",
            trigger:
                ".modal .o_field_widget[name=body] .odoo-editor-editable:contains({{ amount_due }})",
        },
        {
            content: "Save the step",
            trigger: ".modal .o_form_button_save",
            run: "click",
        },
        {
            content: "It is drawn after the due date",
            trigger: `.o_dunning_due_date + .o_dunning_point:contains(7 days after the due date)`,
        },
        ...stepUtils.saveForm(),
        {
            content: "Open the typed step again",
            trigger: `${STEPS} .o_data_row:contains(First reminder) .o_list_record_open_form_view button`,
            run: "click",
        },
        {
            content: "What will it look like?",
            trigger: ".modal button[name=action_preview]",
            run: "click",
        },
        {
            content: "With a real invoice's figures",
            trigger: ".modal .o_field_widget[name=body]:contains(Please pay):contains(123.00)",
        },
        {
            content: "Get it by mail",
            trigger: ".modal .modal-footer button[name=action_send_test]",
            run: "click",
        },
        {
            content: "It is on its way",
            trigger: ".o_notification:contains(on its way)",
        },
        {
            content: "Close the preview",
            trigger: ".modal:contains(Preview) .modal-footer button:contains(Close)",
            run: "click",
        },
        {
            content: "Close the step",
            trigger: ".modal .o_form_button_cancel",
            run: "click",
        },
        {
            content: "Start it",
            trigger: "body:not(:has(.modal)) button[name=action_simulate]:contains(Start)",
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

// Steps in an order that cannot be are marked at once, and refused with the reason.
registry.category("web_tour.tours").add("dunning_steps_are_reordered", {
    url: "/odoo",
    steps: () => [
        ...openSequence("Strict"),
        {
            content: "Drag the last step to the top",
            trigger: `${STEPS} .o_data_row:contains(Final) .o_row_handle`,
            run: `drag_and_drop(${STEPS} .o_data_row:contains(Early))`,
        },
        {
            content: "The drawing says that this cannot be",
            trigger: `${POINT}:contains(Early):contains(must come later)`,
        },
        {
            content: "Try to save",
            trigger: ".o_form_button_save",
            run: "click",
        },
        {
            content: "Odoo says why it refuses",
            trigger: ".modal:contains(must come later than “Final”)",
        },
        {
            content: "Understood",
            trigger: ".modal .modal-footer button",
            run: "click",
        },
        {
            content: "Change the days instead",
            trigger: `${STEPS} .o_data_row:contains(Early) td[name=days]`,
            run: "click",
        },
        {
            content: "Later than the other",
            trigger: `${ROW} [name=days] input`,
            run: "edit 30 && press Tab",
        },
        {
            content: "Now it can be",
            trigger: `.o_dunning_timeline:not(:contains(must come later))`,
        },
        ...stepUtils.saveForm(),
    ],
});

// A text of one's own for a step, without leaving it.
registry.category("web_tour.tours").add("dunning_template_is_written_from_the_step", {
    url: "/odoo",
    steps: () => [
        ...openSequence("Strict"),
        {
            content: "Edit the first step",
            trigger: `${STEPS} .o_data_row:contains(Early) td[name=template_id]`,
            run: "click",
        },
        {
            content: "Name a text that does not exist",
            trigger: `${ROW} [name=template_id] input`,
            run: "edit Gentle nudge",
        },
        {
            content: "Write it",
            trigger: ".o-autocomplete--dropdown-item:contains(Create and edit)",
            run: "click",
        },
        {
            content: "It begins with a text to change",
            trigger: ".modal .o_field_widget[name=subject] :value(object.invoice_number)",
        },
        {
            content: "Save it",
            trigger: ".modal .o_form_button_save",
            run: "click",
        },
        {
            content: "The step has it",
            trigger: `${ROW} [name=template_id] input:value(Gentle nudge)`,
        },
        ...stepUtils.saveForm(),
    ],
});

// Customers join on the sequence itself, and leave in the list of all of them.
registry.category("web_tour.tours").add("dunning_customers_join_and_leave", {
    url: "/odoo",
    steps: () => [
        ...openSequence("Strict"),
        {
            content: "Open its customers",
            trigger: ".nav-link[name=customers]",
            run: "click",
        },
        {
            content: "Add some",
            trigger: ".o_field_widget[name=partner_ids] .o_field_x2many_list_row_add a",
            run: "click",
        },
        {
            content: "Not only those who have an invoice",
            trigger: ".modal .o_facet_remove",
            run: "click",
        },
        {
            content: "Search",
            trigger: ".modal .o_searchview_input",
            run: "fill Joining && press Enter",
        },
        {
            content: "They are found",
            trigger: ".modal .o_data_row:contains(Joining B)",
        },
        {
            content: "Take all",
            trigger: ".modal thead .o_list_record_selector input",
            run: "click",
        },
        {
            content: "These",
            trigger: ".modal .o_select_button:not([disabled])",
            run: "click",
        },
        {
            content: "They are in the list",
            trigger: ".o_field_widget[name=partner_ids] .o_data_row:contains(Joining B)",
        },
        ...stepUtils.saveForm(),
        {
            content: "Open all of them",
            trigger: ".tab-pane button[name=action_view_partners]",
            run: "click",
        },
        {
            content: "Select one in their usual list",
            trigger: ".o_list_view .o_data_row:contains(Joining B) .o_list_record_selector input",
            run: "click",
        },
        {
            content: "What can be done?",
            trigger: ".o_cp_action_menus button:contains(Actions)",
            run: "click",
        },
        {
            content: "Another sequence",
            trigger: ".o-dropdown--menu .dropdown-item:contains(set sequence)",
            run: "click",
        },
        {
            content: "None at all",
            trigger: ".modal .o_field_widget[name=policy] label:contains(No reminders)",
            run: "click",
        },
        {
            content: "It says what that means",
            trigger: ".modal .alert:contains(who leave another sequence of their own: 1)",
        },
        {
            content: "Do it",
            trigger: ".modal .modal-footer button[name=action_confirm]",
            run: "click",
        },
        {
            content: "He has left",
            trigger: ".o_list_view:not(:has(.o_data_row:contains(Joining B)))",
        },
        {
            content: "The other one stays",
            trigger: ".o_list_view .o_data_row:contains(Joining A)",
        },
    ],
});

// Deleting says what it stops, and stops it.
registry.category("web_tour.tours").add("dunning_sequence_is_deleted_for_good", {
    url: "/odoo",
    steps: () => [
        ...openSequence("Strict"),
        ...openGear("Delete for good"),
        {
            content: "It says that it runs",
            trigger: ".modal li:contains(stopped first)",
        },
        {
            content: "How many invoices it follows",
            trigger: ".modal li:contains(Invoices that it follows now: 1)",
        },
        {
            content: "And whom it reminds",
            trigger: ".modal li:contains(Customers):contains(1)",
        },
        {
            content: "Go on",
            trigger: ".modal .modal-footer button:contains(Stop and Delete)",
            run: "click",
        },
        {
            content: "It is gone",
            trigger:
                ".o_list_view:has(.o_data_row):not(:has(.o_data_row:contains(Strict)))",
        },
    ],
});
