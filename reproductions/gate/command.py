"""`check`: the tiers that are asked for, held against what they expect, told, reported, and updated if asked."""

import argparse
import contextlib
import tempfile
from pathlib import Path

from fastbert_core.errors import InputError
from fastbert_core.precision import DEVICES, resolve_device
from reproductions.gate import expectations
from reproductions.gate.finding import Finding, summary, write_report

TIERS = (*expectations.TIERS, "deep")


def add_options(command: argparse.ArgumentParser) -> None:
    """The options of `check` beside --profile, --results-dir and those that name sources."""
    command.add_argument("tasks", nargs="*", metavar="TASK", help="what --tier deep trains again")
    command.add_argument("--tier", action="append", choices=TIERS, help="once for each (default: exact and live)")
    command.add_argument("--device", default="cpu", choices=DEVICES, help="that deep trains on")
    command.add_argument("--work-dir", type=Path, help="where deep trains, to go on there after a kill")
    command.add_argument("--report", type=Path, metavar="FILE", help="write every finding as CSV")
    command.add_argument("--update", action="store_true", help="expect from now on what was found")
    command.add_argument("--reason", metavar="TEXT", help="why, with --update; it lands in the file")


def check(options: argparse.Namespace, committed: bool) -> int:
    """Run the gate and return its exit code: 0 if every claim holds, 1 if one does not.

    committed: whether the results folder is the committed one, which the generated pages belong to.
    Raises InputError for options that do not go together, and for expectations that are not in order.
    """
    from reproductions.gate import exact, goldens, live, page, vouched

    tiers, reason = options.tier or expectations.TIERS, " ".join((options.reason or "").split())
    if options.update != bool(reason):
        raise InputError("check: expected --update and --reason together, and words in the reason")
    if ("deep" in tiers) != bool(options.tasks):
        raise InputError("check: expected --tier deep and the tasks that it trains again together")
    claims = expectations.read_expectations(expectations.PATH)
    if lacking := ({*expectations.TIERS} & {*tiers}) - {claim.tier for claim in claims}:
        raise InputError(f"{expectations.PATH}: found no claim of {', '.join(lacking)}, expected some")
    numbers, findings = {}, []
    if "live" in tiers:
        for task in dict.fromkeys(claim.task for claim in claims if claim.tier == "live"):
            print(f"live: {task}, profile {live.PROFILE}, trained twice", flush=True)
            measures, others = live.train_twice(task)
            numbers |= measures
            findings += others
    if "exact" in tiers:
        numbers |= goldens.flops()
    if options.update:
        claims = expectations.updated(claims, numbers, reason)
        expectations.write_expectations(expectations.PATH, claims)
        page.write_page(page.PAGE, claims)
    findings += [claim.against(numbers.get(claim.key)) for claim in claims if claim.tier in tiers]
    if "exact" in tiers:
        findings += exact.files(options.results_dir, options.profile, page.PAGE.parent if committed else None, claims)
        findings += vouched.provenance(options.results_dir, options.profile)
    if "deep" in tiers:
        findings += _deep(options)
    findings.sort(key=lambda finding: TIERS.index(finding.tier))
    print(summary(findings))
    if options.report:
        write_report(options.report, findings)
    return 0 if all(finding.ok for finding in findings) else 1


def _deep(options: argparse.Namespace) -> list[Finding]:
    from tqdm import tqdm

    from reproductions.gate import deep
    from reproductions.sources import Named

    named, device = Named.from_user(options.data_dir, options.backbone, None), resolve_device(options.device)
    place = contextlib.nullcontext(options.work_dir) if options.work_dir else tempfile.TemporaryDirectory()
    findings = []
    with place as folder:
        for task in options.tasks:
            findings += deep.retrained(
                task, options.results_dir, options.profile, named, device, Path(folder), tqdm.write
            )
    return findings
