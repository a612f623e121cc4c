# Needs tox (python -m pip install tox); the suite's environment is made on first use.
SUITE := tox exec -q -e suite --

.PHONY: plots test
plots: ## every figure again from results/, no model run
	$(SUITE) python -m plots

test:
	tox
