import { HtmlField, htmlField } from "@html_editor/fields/html_field";
import { registry } from "@web/core/registry";
import { MergeFieldsDropdown, getPlaceholder } from "./merge_fields_dropdown";
import { MergeFieldsPlugin } from "./merge_fields_plugin";

/** A text into which merge fields are picked: from a list above it, or by "/". */
export class MergeHtmlField extends HtmlField {
    static template = "dunning_sequences.MergeHtmlField";
    static components = { ...HtmlField.components, MergeFieldsDropdown };

    get mergeFields() {
        return this.props.record.data.merge_fields || [];
    }

    getConfig() {
        const config = super.getConfig();
        config.Plugins = [...config.Plugins, MergeFieldsPlugin];
        config.dunningMergeFields = this.mergeFields;
        return config;
    }

    insertField(name) {
        this.editor.shared.dunningMergeFields.insertPlaceholder(getPlaceholder(name));
    }
}

export const mergeHtmlField = {
    ...htmlField,
    component: MergeHtmlField,
    additionalClasses: ["o_field_html"],
    fieldDependencies: [{ name: "merge_fields", type: "json" }],
};

registry.category("fields").add("dunning_merge_html", mergeHtmlField);
