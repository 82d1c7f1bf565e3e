"""What happens around the epochs of a block: mitigations put on, samples regrouped, models kept, an early end."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from vestige.data.examples import Examples
from vestige.errors import VestigeError
from vestige.progress import say
from vestige.samples import Modality
from vestige.training.config import TrainingConfig
from vestige.training.inspection import Look, heldout_loss, heldout_retrieval, looking
from vestige.training.mitigations.config import MitigationConfig
from vestige.training.mitigations.masking import Masked, TextMask
from vestige.training.mitigations.noise import EmbeddingNoise, Noisy
from vestige.training.mitigations.notes import Notes, write_epoch
from vestige.training.mitigations.regroup import (
    DiverseCaptions,
    Scored,
    check_block,
    overhead,
    put_together,
    score_samples,
)
from vestige.training.mitigations.stopping import Patience
from vestige.training.objectives import Objective
from vestige.training.team import Team

Positions = NDArray[np.int64]


@dataclass(frozen=True)
class Plan:
    """What an epoch does.

    Attributes:
        objective: from a batch to a loss.
        slots: the sample in every slot of every model, [M, S].
        apart: the slots that go into batches of their own, bool [S]; None for none.
    """

    objective: Objective
    slots: Positions
    apart: NDArray[np.bool_] | None = None


@dataclass(frozen=True)
class Place:
    """Where the doings of a block are written.

    Attributes:
        log: of the mitigations, as JSON lines.
        block: number of the block.
        keep: keeps the models as they are after an epoch.
    """

    log: Path
    block: int
    keep: Callable[[int], None]


class Steering:
    """Says what the next epoch of a block does, and looks at the models after it.

    Args:
        slots: the sample in every slot of every model of the block, [M, S]; -1 for none.
        examples: the samples.
        objective: from a batch to a loss, without mitigations.
        training: how the models are trained.
        mitigations: which ones.
        heldout: positions of samples that no model sees.
        mask: hides tokens, where `mitigations.text_mask` asks for it.
        place: where what was done is written; nowhere when not given.
        team: the processes that train together.

    Raises:
        VestigeError: regrouping models that cannot be, samples without a text to mask, nothing held out to compare
            with, or retrieval of models of one modality.
    """

    def __init__(
        self,
        slots: Positions,
        examples: Examples,
        objective: Objective,
        training: TrainingConfig,
        *,
        mitigations: MitigationConfig | None = None,
        heldout: Positions | None = None,
        mask: TextMask | None = None,
        place: Place | None = None,
        team: Team | None = None,
    ) -> None:
        self._config, self._training = mitigations or MitigationConfig(), training
        self._slots, self._examples, self._plain = slots, examples, objective
        self._heldout = np.empty(0, np.int64) if heldout is None else heldout
        self._place, self._team = place, team or Team()
        self._drawing, self._computing = Notes(), Notes()
        self._noted: dict[str, dict[str, float]] = {}
        self._seconds: dict[str, float] = {}
        self._top: Sequence[Positions] | None = None
        self._patience = None if training.patience is None else Patience(training.patience)
        self.stopped = False
        self._mask = self._checked(mask)
        self._objective = self._mitigated(objective)
        if self._config.regroup_every is not None:
            check_block(len(slots), self._config.regroup_by)
        if not len(self._heldout) and (self._config.regroup_every or training.patience):
            name = "mitigations.regroup_every" if self._config.regroup_every else "training.patience"
            raise VestigeError(f"{name} needs held-out samples: set design.external")
        if training.patience is not None and training.patience_on == "retrieval" and len(examples.present) < 2:
            raise VestigeError(
                "training.patience_on retrieval finds one modality by another, and the models of this run read"
                f" {' and '.join(examples.present)} alone: use loss"
            )

    def regroups(self) -> bool:
        """Whether an epoch may have a batch more than the data ask for."""
        return self._config.regroup_every is not None

    def plan(self) -> Plan:
        """What the next epoch does."""
        if self._top is None:
            return Plan(self._objective, self._slots)
        slots, apart = put_together(self._slots, self._top)
        chosen = torch.zeros(len(self._examples.keys), dtype=torch.bool)
        chosen[torch.from_numpy(np.concatenate(self._top))] = True
        return Plan(self._augmented(chosen), slots, apart)

    def noted(self, name: str, seconds: float) -> None:
        """A model was given a batch, which took so long."""
        sums = self._noted.setdefault(name, {})
        for what, value in self._computing.take().items():
            sums[what] = sums.get(what, 0.0) + value
        self._seconds[name] = self._seconds.get(name, 0.0) + seconds

    def after_epoch(self, epoch: int, models: Mapping[str, nn.Module], device: str) -> dict[str, dict[str, float]]:
        """Look at the models after an epoch, counted from 1, and write down what was done.

        Returns:
            Figures for the training log, by model.
        """
        if epoch == 1:
            self._write(0, self._settings())
        noted, self._noted = self._noted, {}
        seconds, self._seconds = self._seconds, {}
        records: list[dict[str, Any]] = []
        figures = {name: _means(noted.get(name, {})) for name in models}
        for name, means in figures.items():
            records += [{"mitigation": what, "model": name, "noise_to_signal": mean} for what, mean in means.items()]
        records += self._masking()
        if self._patience is not None:
            records.append(self._judge(epoch, models, device, figures))
        every = self._config.regroup_every
        if every is not None and epoch % every == 0 and epoch < self._training.last_epoch and not self.stopped:
            records += self._regroup(models, seconds, every, device)
        self._write(epoch, records)
        if self._place is not None and self._keeps(epoch):
            self._team.first(lambda: self._place.keep(epoch) if self._place is not None else None)
        return figures

    def state(self) -> dict[str, Any]:
        """What is needed to go on, as JSON."""
        patience = self._patience
        return {
            "stopped": self.stopped,
            "together": None if self._top is None else [one.tolist() for one in self._top],
            "best": None
            if patience is None or not patience.best_epoch
            else [patience.best, patience.best_epoch, patience.last_epoch],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state` gave."""
        self.stopped = state.get("stopped", False)
        if state.get("together") is not None:
            self._top = [np.array(one, np.int64) for one in state["together"]]
        if self._patience is not None and state.get("best") is not None:
            self._patience = Patience(self._patience.epochs, *state["best"])

    def _checked(self, mask: TextMask | None) -> TextMask | None:
        present = self._examples.present
        absent = [m for m in self._config.noises() if m not in present]
        if absent:
            raise VestigeError(f"mitigations.{absent[0]}_noise: the models of this run do not embed {absent[0]}")
        if self._config.text_mask and (mask is None or Modality.TEXT not in present):
            raise VestigeError("mitigations.text_mask: the models of this run read no text")
        return mask if self._config.text_mask else None

    def _mitigated(self, objective: Objective) -> Objective:
        """The objective, with what all samples get."""
        noises = {m: self._noise(sigma) for m, sigma in self._config.noises().items()}
        if self._mask is not None:
            objective = Masked(objective, self._mask, self._drawing)
        return Noisy(objective, noises, self._computing) if noises else objective

    def _noise(self, sigma: float) -> EmbeddingNoise:
        return EmbeddingNoise(sigma, self._config.noise_place, self._config.noise_scale)

    def _augmented(self, chosen: Tensor) -> Objective:
        """The objective, with what only the regrouped samples get."""
        objective = self._plain
        if self._config.regroup_captions:
            objective = DiverseCaptions(objective, chosen)
        objective = self._mitigated(objective)
        if self._config.regroup_noise:
            noises = {modality: self._noise(self._config.regroup_noise) for modality in self._examples.present}
            objective = Noisy(objective, noises, self._computing, chosen=chosen, name="regroup_noise")
        return objective

    def _regroup(
        self, models: Mapping[str, nn.Module], seconds: Mapping[str, float], every: int, device: str
    ) -> list[dict[str, Any]]:
        scored: Scored = score_samples(
            list(models.values()),
            self._slots,
            self._look(device),
            self._heldout,
            by=self._config.regroup_by,
            share=self._config.regroup_share,
        )
        self._top = scored.top
        scoring = dict(zip(models, scored.seconds, strict=True))
        cost = overhead(scoring, seconds, every)
        keys = self._examples.keys
        return [
            {
                "mitigation": "regroup",
                "model": name,
                "by": self._config.regroup_by,
                "scored": ranked,
                "seconds": scoring[name],
                "epoch_seconds": seconds.get(name),
                **cost,
                "keys": [keys[position] for position in top.tolist()],
            }
            for name, top, ranked in zip(models, scored.top, scored.ranked, strict=True)
        ]

    def _judge(
        self, epoch: int, models: Mapping[str, nn.Module], device: str, figures: Mapping[str, dict[str, float]]
    ) -> dict[str, Any]:
        on = self._training.patience_on
        found = {name: self._heldout_figure(model, on, device) for name, model in models.items()}
        for name, value in found.items():
            figures[name][f"heldout_{on}"] = value
        mean = float(np.mean(list(found.values())))
        # Every process has to come to the same decision: that of the first.
        mean = self._team.agree(mean)[0]
        assert self._patience is not None
        self._patience = self._patience.seen(epoch, mean if on == "loss" else -mean)
        self.stopped = self._patience.over and epoch < self._training.last_epoch
        if self.stopped:
            best = self._patience.best_epoch
            say(f"stopped after epoch {epoch}: the held-out {on} of {' and '.join(models)} was best after epoch {best}")
        return {"mitigation": "early_stopping", f"heldout_{on}": found, "stopped": self.stopped}

    def _heldout_figure(self, model: nn.Module, on: str, device: str) -> float:
        size = self._training.batch_size
        if on == "loss":
            return heldout_loss(model, self._plain, self._examples, self._heldout, size, device)
        embedded = self._look(device)(model, self._heldout)
        names = torch.arange(len(self._heldout))
        if Modality.TEXT in self._examples.present:
            # Samples without a text have rows of their own; equal texts are equally right.
            drawn = self._examples.draw(self._heldout, None)
            _, same = drawn.tensors[Modality.TEXT].unique(dim=0, return_inverse=True)
            names[drawn.present[Modality.TEXT]] = len(names) + same
        return heldout_retrieval(embedded, names)

    def _look(self, device: str) -> Look:
        return looking(self._examples, self._plain, self._team, device, self._training.batch_size)

    def _masking(self) -> list[dict[str, Any]]:
        parts = self._team.agree(self._drawing.take())
        names = {name for part in parts for name in part}
        if not names:
            return []
        sums = {name.partition("/")[2]: int(sum(part.get(name, 0) for part in parts)) for name in sorted(names)}
        return [{"mitigation": "text_mask", **sums}]

    def _settings(self) -> list[dict[str, Any]]:
        """What is the same in all epochs and differs from training without mitigation."""
        records: list[dict[str, Any]] = []
        if self._examples.policy != "first" and Modality.TEXT in self._examples.present:
            counts = self._examples.counts
            several = {"samples": len(counts), "with_several": int((counts > 1).sum()), "captions": int(counts.sum())}
            records.append({"mitigation": "captions", "policy": self._examples.policy, **several})
        if self._config.logit_scale is not None:
            records.append({"mitigation": "temperature", "logit_scale": self._config.logit_scale})
        return records

    def _keeps(self, epoch: int) -> bool:
        kept = self._training.kept()
        return epoch in kept or (self.stopped and bool(kept))

    def _write(self, epoch: int, records: Sequence[Mapping[str, Any]]) -> None:
        place = self._place
        if place is not None:
            self._team.first(lambda: write_epoch(place.log, place.block, epoch, records))


def _means(sums: Mapping[str, float]) -> dict[str, float]:
    """Means of what was summed with its count."""
    return {
        name: total / sums[f"{name}/count"]
        for name, total in sums.items()
        if not name.endswith("/count") and sums[f"{name}/count"]
    }
