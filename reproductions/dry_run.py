"""`run --dry-run`: what would be fetched and run, in rows and minutes. It fetches nothing and leaves no file."""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from fastbert_core.encoder_folder import check_encoder
from fastbert_core.errors import InputError
from fastbert_core.tasks import Task
from reproductions.job import Job, estimated_minutes, is_done
from reproductions.settings import planned_runs
from reproductions.sources import Named, data_to_fetch, encoder_to_fetch, load_data, load_encoder, runs_in


def dry_run(
    tasks: Sequence[Task],
    profile: str,
    named: Named,
    planned: Callable[[list[Task]], list[Job]],
    results_dir: Path,
    replace: bool,
) -> list[InputError]:
    """Print each task's runs and their total; return what is wrong, since what is wrong with one task hides no other.

    planned: the runs of tasks whose data and encoder are at hand
    """
    wrong, minutes, done, uncounted = [], [], 0, 0
    with tempfile.TemporaryDirectory() as scratch, runs_in(Path(scratch)):  # smoke makes its encoders there
        for task in tasks:
            try:
                if wanted := _to_fetch(task, profile, named):
                    runs = [f"{model}-{variant}" for model, variant in planned_runs(profile, task)]
                    print(f"{task.name}, {', '.join(runs)}: {wanted} would be fetched first")
                    uncounted += len(runs)
                    continue
                for job in planned([task]):
                    line = f"{job.name}: run {job.run_id}, {len(job.train)} training rows"
                    if is_done(job, results_dir, replace):
                        done += 1
                        print(f"{line}: done")
                    else:
                        minutes.append(estimated_minutes(job))
                        print(f"{line}: {duration(minutes[-1])}")
            except InputError as error:
                wrong.append(error)
    counts = [f"{len(minutes)} to run, {duration(sum(minutes))}"] if minutes else []
    counts += [f"{done} done"] if done else []
    counts += [f"{uncounted} whose minutes are known once data and encoder are here"] if uncounted else []
    if counts:
        print(f"total: {'; '.join(counts)}")
    return wrong


def _to_fetch(task: Task, profile: str, named: Named) -> str:
    """What has to be fetched before the task can be planned, empty for nothing. What is at hand is checked anyway.

    Raises InputError as `load_data`, `load_encoder` and `check_encoder` do.
    """
    data, encoder = data_to_fetch(profile, task, named), encoder_to_fetch(profile, task, named)
    if encoder and not data:
        load_data(profile, task, named)
    if data and not encoder:
        check_encoder(load_encoder(profile, task, named, None, print).source, task.pair)
    return " and ".join(filter(None, (data, encoder)))


def duration(minutes: float) -> str:
    """A rough time in the unit that suits it."""
    if minutes >= 120:
        return f"about {minutes / 60:.1f} hours"
    if minutes >= 2:
        return f"about {minutes:.0f} minutes"
    seconds = max(1, round(60 * minutes))
    return f"about {seconds} second{'s' * (seconds > 1)}"
