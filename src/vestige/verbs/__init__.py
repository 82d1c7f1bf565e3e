"""The verbs of the command line, one a file: each has a `main(arguments)` that is a configuration and one call."""

from collections.abc import Mapping

VERBS: Mapping[str, str] = {
    "demo": "train two small models on emoji and show what one of them memorized",
    "run": """the same for your data and model: vestige run --data SOURCE [--out DIR] [--training.epochs 30 ...],
or vestige run CONFIG.yaml""",
    "train": """train the models of a run and no more; several processes train together:
torchrun --nproc-per-node 2 -m vestige train --data SOURCE ...""",
    "score": """score samples with two checkpoints you trained, or a run with more metrics:
vestige score RUN --metric clipmem,multimem,sslmem,unitmem""",
    "embed": """embed samples with a checkpoint, or with the models of a run:
vestige embed RUN --data SOURCE --out DIR""",
    "evaluate": """what the models of a run, or checkpoints, are still good for: probe, zero-shot, retrieval:
vestige evaluate RUN --on fashion-mnist,emoji-google""",
    "clean": """write the data without the samples that are memorized, in their own format:
vestige clean RUN --top 100 --out PATH""",
    "curve": """train a run's models again without the top of a ranking, and measure what that does:
vestige curve RUN --removed 0,50,100 --by memorization,align_out,random""",
    "report": """the report of a finished run anew, for a paper, or two runs compared:
vestige report RUN [--format md|csv|png|svg|pdf|parquet] [--out PATH], vestige report RUN_A RUN_B""",
    "data": "what is in a source, and the built-in ones: vestige data check SOURCE, data list, data fetch NAME",
    "caption": """write more captions for data that have one each:
vestige caption DATA --with wordnet --count 4 --out captions.parquet""",
    "annotate": """find the objects in the pictures of data with a detector of yours:
vestige annotate DATA --detector PATH --out objects.parquet""",
}
"""By name of the file in this folder, what `vestige --help` says."""
