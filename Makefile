# Needs tox (python -m pip install tox); the suite's environment is made on first use.
SUITE := tox exec -q -e suite --

.PHONY: plots report test
plots: ## every figure again from results/, no model run
	$(SUITE) python -m plots

report: ## report.html: tables, figures and sliders in one file that needs no server
	$(SUITE) python -m plots.report

test:
	tox
