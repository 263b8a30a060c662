import { Dropdown } from "@web/core/dropdown/dropdown";
import { DropdownItem } from "@web/core/dropdown/dropdown_item";

import { Component } from "@odoo/owl";

/** The button beside a text: a list of merge fields in words, to insert one. */
export class MergeFieldsDropdown extends Component {
    static template = "dunning_sequences.MergeFieldsDropdown";
    static components = { Dropdown, DropdownItem };
    static props = {
        // [{name, label}], from the server
        fields: { type: Array },
        onSelected: { type: Function },
    };
}

/** What stands in the text for a merge field. */
export function getPlaceholder(name) {
    return `{{ ${name} }}`;
}
