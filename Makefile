# Everything goes through dev/odoo, which prepares what is missing. `make help` lists the rest.

SHELL := /bin/bash
# Settings, on the command line or in the environment.
export ODOO_PATH PYTHON HTTP_PORT INBOX_PORT SIZE RUNS ONLY

.DEFAULT_GOAL := help
.PHONY: help demo serve test torture bench odoo-tests install-check pictures walk i18n upgrade-odoo stop clean distclean

help: ## This list
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 24
	@echo; echo "  dev/odoo ARGS         Odoo's own command line, e.g. dev/odoo shell -d demo"

demo: ## A database with demo data, one run of the main job, and what happened
	@dev/demo

serve: ## The demo in the browser, and the inbox of all mails (HTTP_PORT=8069 INBOX_PORT=8025)
	@dev/serve

test: ## All tests and linters; ARGS='-k word' runs those tests only, fast
	@dev/test $(ARGS)

torture: ## Kill whatever can die, and count the reminders; PARTS='crash smtp' SEED=2
	@dev/torture $(if $(SEED),--seed $(SEED)) $(PARTS)

odoo-tests: ## Odoo's own tests of accounting and mail, with the module and without (an hour)
	@dev/odoo_tests $(ARGS)

bench: ## What it costs, against what people would use instead (SIZE=20000 RUNS=5 ONLY=part,…)
	@benchmarks/run

install-check: ## Build the wheel, install it beside Odoo, install the module from there
	@dev/install_check

pictures: ## The pictures of README and guide anew, in docs/images
	@dev/pictures

walk: ## The life of one invoice with real mails both ways, told and in pictures: docs/walk.md
	@dev/walk

i18n: ## The texts to translate, brought up to date from the code
	@dev/i18n

upgrade-odoo: ## Take a newer odoo-19 from Debian, if there is one
	@dev/prepare --upgrade-odoo

stop: ## Stop this clone's database server (any command starts it again)
	@dev/db stop

clean: ## Remove this clone's databases, mails and logs
	@dev/clean

distclean: ## …and what all clones share: Odoo, its Python packages, the template
	@dev/clean --cache
