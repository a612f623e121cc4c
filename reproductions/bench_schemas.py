"""The columns of results/bench/*.csv, as `schemas` has those of a profile: seconds, and where they were measured."""

from reproductions.fields import GIT, TASK, date, number, percent, schema, text, whole

PRECISIONS = ("fp32", "bf16")
DEVICE = text("cpu or cuda", one_of=("cpu", "cuda"))
PRECISION = text("precision of the forward pass", one_of=PRECISIONS)
SPEED = number("speed; 0 is the one at which every student runs and nothing leaves", 4, 0, 1)
RATE = number("samples a second", 1, 0)
MEASURED = {
    "machine": text("processor, threads, its best vector or matrix units, GPU, version of PyTorch"),
    **GIT,
    "date": date("when it was measured"),
}

BENCH_SCHEMAS = {
    "efficiency": schema(
        ("task", "device", "precision", "mode", "batch", "speed"),
        {
            "task": TASK,
            "device": DEVICE,
            "precision": PRECISION,
            "mode": text("latency, one text at a time, or throughput", one_of=("latency", "throughput")),
            "batch": whole("batch size", 1),
            "speed": SPEED,
            "mean_layers": number("mean executed layers", 3, 1),
            "flops_speedup": number("true MACs of the real tokens at speed 0 over those here", 3, 0),
            "measured_speedup": number("seconds of the layers at speed 0 over those here", 3, 0),
            "efficiency": number("measured over FLOPs speedup, of the layers alone", 3, 0),
            "efficiency_end_to_end": number("the same with tokenisation and embedding in the seconds", 3, 0),
            "overhead_at_speed_0": number(
                "seconds of the layers over the plain encoder's in the same batches", 3, 0, optional=True
            ),
            "fixed_cost_us": number(
                "microseconds of an executed layer and its student for a text of one token, in a batch of 1",
                0,
                0,
                optional=True,
            ),
            "samples_per_second": RATE,
            "samples": whole("test texts timed, a seeded sample", 1),
            **MEASURED,
        },
    ),
    "stations": schema(
        ("task", "device", "precision", "engine", "speed", "station", "layer"),
        {
            "task": TASK,
            "device": DEVICE,
            "precision": PRECISION,
            "engine": text(
                "pooled, the suite's; or compacting, what one would write first", one_of=("compacting", "pooled")
            ),
            "speed": SPEED,
            "station": text("what the time goes into"),
            "layer": whole("layer, where the station has layers", 1, optional=True),
            "seconds": number("seconds, all samples together", 4, 0),
            "share": number("share of the whole, tokenisation included", 4, 0, 1),
            **MEASURED,
        },
    ),
    "roofline": schema(
        ("task", "device", "precision"),
        {
            "task": TASK,
            "device": DEVICE,
            "precision": PRECISION,
            "matrix_gflops": number("GFLOP/s of plain matrix products of the encoder's shapes, 2048 tokens", 1, 0),
            "dense_gflops": number("GFLOP/s of the plain encoder's layers, at its best batch size", 1, 0),
            "dense_share": number("the same as a share of the matrix products", 3, 0),
            "engine_gflops": number("GFLOP/s of the engine's layers and students at speed 0, at its best batch", 1, 0),
            "engine_share": number("the same as a share of the matrix products", 3, 0),
            **MEASURED,
        },
    ),
    "agreement": schema(
        ("task", "device", "precision", "batch", "speed", "samples"),
        {
            "task": TASK,
            "device": DEVICE,
            "precision": PRECISION,
            "batch": whole("batch size", 1),
            "speed": SPEED,
            "samples": whole("test texts, all of them or a seeded sample", 1),
            "same_label_percent": number("share with the label that the fp32 trace has at this speed", 3, 0, 100),
            "differing": whole("samples that leave elsewhere, or with another label, than the trace says"),
            "unexcused": whole("of these, those whose uncertainties do not lie within rounding of the speed"),
            "farthest": number(
                "largest distance of a differing sample's uncertainty, where it is nearest, to the speed",
                7,
                0,
                1,
                optional=True,
            ),
            **MEASURED,
        },
    ),
    "rates": schema(
        ("task", "device", "precision", "what"),
        {
            "task": TASK,
            "device": DEVICE,
            "precision": text("precision, where there is one", one_of=PRECISIONS, optional=True),
            "what": text(
                "work: fine-tuning; frozen pass, on a CPU made once for all epochs of self-distillation; "
                "self-distillation, an epoch of it; tracing or tokenisation"
            ),
            "samples": whole("texts", 1),
            "mean_tokens": number("mean tokens of a text, special tokens included", 2, 1),
            "samples_per_second": RATE,
            **MEASURED,
        },
    ),
    "memory": schema(
        ("texts",),
        {
            "texts": whole("short texts that stream through the smoke model", 1),
            "peak_mib": number("MiB at the peak of the process", 1, 0),
            "few_texts": whole("the same for so many", 1),
            "few_peak_mib": number("MiB at its peak", 1, 0),
            "ratio": number("peak over peak", 3, 0),
            **MEASURED,
        },
    ),
    "rivals": schema(
        ("task", "rival", "precision", "batch", "ours_precision", "ours_batch"),
        {
            "task": TASK,
            "rival": text("whose code runs"),
            "precision": text("its precision", one_of=(*PRECISIONS, "int8")),
            "batch": whole("its batch size", 1),
            "samples": whole("test texts, a seeded sample", 1),
            "samples_per_second": RATE,
            "accuracy": percent("its accuracy on the timed texts"),
            "ours_precision": text("our precision", one_of=PRECISIONS),
            "ours_batch": whole("our batch size", 1),
            "ours_samples_per_second": RATE,
            "ours_accuracy": percent("our accuracy on the same texts"),
            "ours_over_rival": number("our samples a second over its", 2, 0),
            **MEASURED,
        },
    ),
}
