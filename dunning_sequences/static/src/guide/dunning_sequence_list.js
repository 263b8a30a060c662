import { registry } from "@web/core/registry";
import { useService } from "@web/core/utils/hooks";
import { ListRenderer } from "@web/views/list/list_renderer";
import { listView } from "@web/views/list/list_view";

/** The list of sequences, with what to do first as long as none of them runs. */
export class DunningSequenceListRenderer extends ListRenderer {
    static template = "dunning_sequences.SequenceListRenderer";

    setup() {
        super.setup();
        this.actionService = useService("action");
    }

    get isGuided() {
        const { records, isGrouped } = this.props.list;
        return !isGrouped && records.length && records.every(({ data }) => data.state !== "running");
    }

    openAction(xmlId) {
        return this.actionService.doAction(xmlId);
    }

    openFirst() {
        return this.props.openRecord(this.props.list.records[0]);
    }
}

registry.category("views").add("dunning_sequence_list", {
    ...listView,
    Renderer: DunningSequenceListRenderer,
});
