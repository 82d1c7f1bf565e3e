"""More captions for data that have one each: by WordNet, by a language model, or by a model that sees the picture."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import pyarrow as pa
import tyro

from vestige.data import open_source
from vestige.data.generation import Captioner
from vestige.data.generation.answers import Answers
from vestige.data.generation.captions import SCHEMA
from vestige.data.generation.describing import DescribeConfig, Describer
from vestige.data.generation.rewriting import RewriteConfig, Rewriter
from vestige.data.generation.wordnet import Wordnet, WordnetConfig
from vestige.errors import VestigeError
from vestige.shards import table_in_shards


@dataclass(frozen=True)
class CaptionConfig:
    """Write new captions for every sample of a collection into one file."""

    data: str
    """The samples: twemoji, csv:FILE, folder:DIR."""
    by: Annotated[Literal["wordnet", "rewrite", "describe"], tyro.conf.arg(name="with")]
    """wordnet: words replaced by synonyms; rewrite: a language model behind an endpoint; describe: an image-to-text
    model on disk."""
    out: Path = Path("captions.parquet")
    """The file."""
    count: int = 4
    """New captions a sample."""
    options: dict[str, str] = field(default_factory=dict)
    """Options of data, for example image_column path."""
    seed: int = 0
    """Of everything drawn."""
    shard: int = 256
    """Samples that are written down together; what is lost by a kill."""
    wordnet: WordnetConfig = field(default_factory=WordnetConfig)
    rewrite: RewriteConfig = field(default_factory=RewriteConfig)
    describe: DescribeConfig = field(default_factory=DescribeConfig)


@dataclass(frozen=True)
class CaptionResult:
    """What was written.

    Attributes:
        out: the file.
        samples: samples of the data.
        captions: new captions of all of them.
        short: (key, reason) of the samples with fewer than asked for.
        provenance: what wrote them.
    """

    out: Path
    samples: int
    captions: int
    short: tuple[tuple[str, str], ...]
    provenance: str

    @property
    def summary(self) -> Mapping[str, Any]:
        """The same in numbers, with how many samples have each reason."""
        return {
            "out": str(self.out),
            "samples": self.samples,
            "captions": self.captions,
            "short": len(self.short),
            "reasons": dict(Counter(reason for _, reason in self.short).most_common()),
            "provenance": self.provenance,
        }


def write_captions(config: CaptionConfig) -> CaptionResult:
    """Write the file of captions, or go on with it.

    Raises:
        VestigeError: the settings do not fit, or no sample got a caption.
    """
    if config.count < 1 or config.shard < 1:
        raise VestigeError(f"count and shard are at least 1, not {config.count} and {config.shard}")
    source = open_source(config.data, **config.options)
    captioner = _captioner(config)

    def records(keys: Sequence[str]) -> list[dict[str, Any]]:
        written = captioner.write(list(source.samples(keys)), config.count)
        return [
            {"key": key, "captions": list(new.captions), "provenance": captioner.provenance, "reason": new.reason}
            for key, new in zip(keys, written, strict=True)
        ]

    table = table_in_shards(
        config.out,
        label="writing captions",
        about={"captioner": captioner.provenance, "count": config.count, **_about(config)},
        keys=source.keys(),
        schema=SCHEMA,
        shard=config.shard,
        records=records,
    )
    return _result(config.out, table, captioner.provenance)


def _captioner(config: CaptionConfig) -> Captioner:
    if config.by == "wordnet":
        return Wordnet(config.wordnet, config.seed)
    if config.by == "describe":
        return Describer(config.describe, config.seed)
    cache = config.rewrite.cache or config.out.with_suffix(".answers")
    return Rewriter(config.rewrite, Answers(cache), config.seed)


def _about(config: CaptionConfig) -> Mapping[str, int]:
    """Settings that change the captions and are no part of their provenance."""
    if config.by == "describe":
        return {"batch_size": config.describe.batch_size}
    if config.by == "rewrite":
        return {"attempts": config.rewrite.attempts, "max_tokens": config.rewrite.max_tokens}
    return {}


def _result(out: Path, table: pa.Table, provenance: str) -> CaptionResult:
    captions = sum(len(texts) for texts in table["captions"].to_pylist())
    rows = zip(table["key"].to_pylist(), table["reason"].to_pylist(), strict=True)
    short = tuple((key, reason) for key, reason in rows if reason is not None)
    if not captions:
        out.unlink()
        why = f"; the first reason: {short[0][1]}" if short else ""
        raise VestigeError(f"no sample of {len(table)} got a new caption{why}")
    return CaptionResult(out, len(table), captions, short, provenance)
