import { registry } from "@web/core/registry";
import { CharField, charField } from "@web/views/fields/char/char_field";
import { MergeFieldsDropdown, getPlaceholder } from "./merge_fields_dropdown";

/** A line of text into which merge fields are picked from a list. */
export class MergeCharField extends CharField {
    static template = "dunning_sequences.MergeCharField";
    static components = { ...CharField.components, MergeFieldsDropdown };

    get mergeFields() {
        return this.props.record.data.merge_fields || [];
    }

    /** A space at the end stays: a field may follow. Sending trims the subject. */
    get shouldTrim() {
        return false;
    }

    insertField(name) {
        const input = this.input.el;
        // An input remembers its cursor while the list is open.
        input.setRangeText(getPlaceholder(name), input.selectionStart, input.selectionEnd, "end");
        input.dispatchEvent(new InputEvent("input", { bubbles: true }));
        input.dispatchEvent(new Event("change", { bubbles: true }));
        input.focus();
    }
}

export const mergeCharField = {
    ...charField,
    component: MergeCharField,
    supportedTypes: ["char"],
    additionalClasses: ["o_field_char"],
    fieldDependencies: [{ name: "merge_fields", type: "json" }],
};

registry.category("fields").add("dunning_merge_char", mergeCharField);
