"""What models memorize of each sample: one source paper a file, pure functions of tensors.

Nothing here knows of files, models or command lines; torch is all that is needed. With Numba (`vestige[fast]`), what
memory bounds is read once (`fused`). Inputs of the wrong shape, dtype, device or norm, or with NaN, get a `ValueError`
that names the argument and what was found. Sums are taken in float32 (float64 where any input has it), whatever the
embeddings are stored in.
"""

from .clipmem import clip_alignment, clip_alignment_from_means
from .clipmem_error import clip_heldout_se, clip_heldout_se_from_spread, clip_heldout_spread
from .clusters import grouped_mean_interval
from .contrast import Contrast, Normalised, contrast_weights, memorization, normalise
from .dejavu import ObjectRecovery, object_recovery
from .dejavu_population import PopulationGaps, population_gaps, recall_distribution
from .dejavu_samples import GapCurve, SampleGaps, sample_gaps
from .detection import AUC, auc, average_precision, precision_at
from .heldout import heldout_mean
from .heldout_error import HeldoutSpread, heldout_standard_error
from .labelmem import label_alignment, label_set_alignment
from .labelsets import LabelSets
from .modalities import ModalityDrop, leave_one_modality_out, rank_modalities
from .multimem import cross_modal_consistency, cross_modal_consistency_from_means, pair_alignments
from .multimem_error import multimem_heldout_se, multimem_heldout_se_from_spread, multimem_heldout_spread
from .null import benjamini_hochberg, null_p_values
from .rank_agreement import RankAgreement, rank_agreement
from .sslmem import ssl_alignment
from .statistics import Interval, PairedTest, bootstrap_mean, mean_interval, paired_test, spearman, top_overlap
from .unitmem import UnitMemory, UnitMemResult, unit_memorization

__all__ = [
    "AUC",
    "Contrast",
    "GapCurve",
    "HeldoutSpread",
    "Interval",
    "LabelSets",
    "ModalityDrop",
    "Normalised",
    "ObjectRecovery",
    "PairedTest",
    "PopulationGaps",
    "RankAgreement",
    "SampleGaps",
    "UnitMemResult",
    "UnitMemory",
    "auc",
    "average_precision",
    "benjamini_hochberg",
    "bootstrap_mean",
    "clip_alignment",
    "clip_alignment_from_means",
    "clip_heldout_se",
    "clip_heldout_se_from_spread",
    "clip_heldout_spread",
    "contrast_weights",
    "cross_modal_consistency",
    "cross_modal_consistency_from_means",
    "grouped_mean_interval",
    "heldout_mean",
    "heldout_standard_error",
    "label_alignment",
    "label_set_alignment",
    "leave_one_modality_out",
    "mean_interval",
    "memorization",
    "multimem_heldout_se",
    "multimem_heldout_se_from_spread",
    "multimem_heldout_spread",
    "normalise",
    "null_p_values",
    "object_recovery",
    "pair_alignments",
    "paired_test",
    "population_gaps",
    "precision_at",
    "rank_agreement",
    "rank_modalities",
    "recall_distribution",
    "sample_gaps",
    "spearman",
    "ssl_alignment",
    "top_overlap",
    "unit_memorization",
]
