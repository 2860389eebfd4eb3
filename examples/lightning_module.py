"""AutoLoss in a LightningModule, by manual optimisation (pip install lightning).

python examples/lightning_module.py
"""

from __future__ import annotations

from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from autoloss import AutoLoss, OwnLoop, Task

FIELDS = (30, 20, 10)


class Recommender(LightningModule):
    """Any model in `model`; the controller is no part of the module, whose checkpoint takes it."""

    def __init__(self, validation: DataLoader[Any]) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.validation, self.resumed = validation, None
        self.model = nn.Sequential(
            nn.Flatten(), nn.Linear(sum(FIELDS), 16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 1)
        )

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """The model's parameters alone: the controller has an Adam of its own."""
        optimizer = torch.optim.Adam(self.model.parameters(), lr=0.01)
        self.auto = OwnLoop(AutoLoss(Task(classes=2)), self.model, optimizer, self.validation)
        if self.resumed:
            self.auto.load_state_dict(self.resumed)
        return optimizer

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """One step on the model, and every seventh time one on the controller before it."""
        optimizer = self.optimizers()
        loss = self.auto.loss(*batch)
        optimizer.zero_grad()
        self.manual_backward(loss)
        optimizer.step()
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss.detach()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """With the controller."""
        checkpoint["autoloss"] = self.auto.state_dict()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Before the loop is there: `configure_optimizers` hands it on."""
        self.resumed = checkpoint["autoloss"]


def clicks(rows: int) -> TensorDataset:
    """Clicks that follow an effect of each value, one-hot."""
    ids = [torch.randint(size, (rows,)) for size in FIELDS]
    hot = [nn.functional.one_hot(i, n).float() for i, n in zip(ids, FIELDS, strict=True)]
    score = sum((i % 3 - 1) for i in ids) + torch.randn(rows)
    return TensorDataset(torch.cat(hot, dim=1), (score > 0).long())


def main() -> tuple[list[float], OwnLoop]:
    """Train for three epochs; the mean loss of the last, and the loop."""
    torch.manual_seed(0)
    train = DataLoader(clicks(4000), batch_size=100, shuffle=True)
    validation = DataLoader(clicks(500), batch_size=100, shuffle=True)
    module = Recommender(validation)
    trainer = Trainer(
        max_epochs=3, accelerator="cpu", logger=False, enable_checkpointing=False,
        enable_progress_bar=False,
    )  # fmt: skip
    trainer.fit(module, train)
    last = float(trainer.callback_metrics["train_loss"])
    print(f"mixed loss {last:.4f}")
    return [last], module.auto


if __name__ == "__main__":
    main()
