"""AutoLoss on torchfm's DeepFM (pip install torchfm), as it is but for its last sigmoid.

python examples/torchfm_deepfm.py
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset
from torchfm.model.dfm import DeepFactorizationMachineModel

from autoloss import AutoLoss, OwnLoop, Task

FIELDS = (30, 20, 10)


class DeepFM(DeepFactorizationMachineModel):
    """torchfm gives probabilities; the losses take logits: its forward pass without the sigmoid."""

    def forward(self, ids: Tensor) -> Tensor:
        """`int64[B, F]` -> logits `[B, 1]`."""
        embedded = self.embedding(ids)
        logits: Tensor = self.linear(ids) + self.fm(embedded) + self.mlp(embedded.flatten(1))
        return logits


def clicks(rows: int) -> TensorDataset:
    """Clicks that follow an effect of each value; labels are floats, as torchfm has them."""
    ids = torch.stack([torch.randint(size, (rows,)) for size in FIELDS], dim=1)
    score = (ids % 3 - 1).sum(dim=1) + torch.randn(rows)
    return TensorDataset(ids, (score > 0).float())


def main() -> tuple[list[float], OwnLoop]:
    """Train for three epochs; the mean loss of each, and the loop."""
    torch.manual_seed(0)
    train = DataLoader(clicks(4000), batch_size=100, shuffle=True)
    validation = DataLoader(clicks(500), batch_size=100, shuffle=True)
    model = DeepFM(FIELDS, embed_dim=8, mlp_dims=(16, 16), dropout=0.2)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01, weight_decay=1e-6)
    auto = OwnLoop(AutoLoss(Task(classes=2)), model, optimizer, validation)
    means = []
    for epoch in range(1, 4):
        losses = []
        for ids, labels in train:
            loss = auto.loss(ids, labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        means.append(sum(losses) / len(losses))
        print(f"epoch {epoch}: mixed loss {means[-1]:.4f}")
    return means, auto


if __name__ == "__main__":
    main()
