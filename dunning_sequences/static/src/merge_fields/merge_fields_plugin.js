import { Plugin } from "@html_editor/plugin";
import { withSequence } from "@html_editor/utils/resource";
import { _t } from "@web/core/l10n/translation";
import { getPlaceholder } from "./merge_fields_dropdown";

/** Lists the merge fields where Odoo's editor lists what can be inserted: after "/". */
export class MergeFieldsPlugin extends Plugin {
    static id = "dunningMergeFields";
    static dependencies = ["selection", "dom", "history"];
    static shared = ["insertPlaceholder"];

    resources = {
        user_commands: this.config.dunningMergeFields.map(({ name, label }) => ({
            id: `dunning_${name}`,
            title: label,
            description: _t("Filled in for each customer"),
            icon: "fa-user-o",
            run: () => this.insertPlaceholder(getPlaceholder(name)),
        })),
        powerbox_categories: withSequence(1, {
            id: "dunning_merge_fields",
            name: _t("Fields"),
        }),
        powerbox_items: this.config.dunningMergeFields.map(({ name }) => ({
            categoryId: "dunning_merge_fields",
            commandId: `dunning_${name}`,
        })),
    };

    insertPlaceholder(text) {
        // The editor knows where the cursor was before the list took the focus.
        this.dependencies.selection.focusEditable();
        this.dependencies.dom.insert(text);
        this.dependencies.history.addStep();
    }
}
