"""Of Lightning's interface what the example uses, with manual optimisation alone."""

from __future__ import annotations

from statistics import fmean

from torch import nn


class LightningModule(nn.Module):
    def optimizers(self):
        return self.trainer.optimizer

    def manual_backward(self, loss):
        loss.backward()

    def log(self, name, value, *, on_step, on_epoch):
        assert (on_step, on_epoch) == (False, True)
        self.trainer.logged.setdefault(name, []).append(value.item())


class Trainer:
    def __init__(
        self, *, max_epochs, accelerator, logger, enable_checkpointing, enable_progress_bar
    ):
        assert (accelerator, logger, enable_checkpointing) == ("cpu", False, False)
        self.max_epochs, self.logged, self.callback_metrics = max_epochs, {}, {}

    def fit(self, module, loader):
        assert module.automatic_optimization is False
        module.trainer, self.optimizer = self, module.configure_optimizers()
        for _ in range(self.max_epochs):
            self.logged.clear()
            module.train()
            for k, batch in enumerate(loader):
                module.training_step(batch, k)
            self.callback_metrics = {name: fmean(values) for name, values in self.logged.items()}
