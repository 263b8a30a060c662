from lxml import etree, html

from odoo import models
from odoo.tools import is_html_empty


class IrQweb(models.AbstractModel):
    _inherit = "ir.qweb"

    def _compile(self, template):
        """Compile a template that is not a view once, when the context asks for it.

        `mail.template` compiles its body anew for each record: most of the cost
        of a batch of reminders.
        """
        compiled = self.env.context.get("dunning_compiled")
        if compiled is None or not isinstance(template, etree._Element):
            return super()._compile(template)
        key = (id(template), self.env.lang)
        if key not in compiled:
            compiled[key] = super()._compile(template)
        return compiled[key]


class MailTemplate(models.Model):
    _inherit = "mail.template"

    def _get_dunning_renderer(self):
        """Return a function from a reminder to its subject and body.

        In the language of the context. What may stand in a template is checked by
        Odoo when it is saved.
        """
        self.ensure_one()
        template = self.sudo()
        source = template.body_html or ""
        tree = None
        if not is_html_empty(source):
            tree = html.fragment_fromstring(str(source), create_parent="div")
        qweb = self.env["ir.qweb"].with_context(dunning_compiled={}).sudo()
        variables = template._render_eval_context()

        def render(reminder):
            subjects = template._render_template_inline_template(
                template.subject or "", reminder._name, reminder._ids
            )
            body = ""
            if tree is not None:
                body = qweb._render(tree, {**variables, "object": reminder})
            return subjects[reminder.id], body

        return render
