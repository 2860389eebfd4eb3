"""AutoLoss on a plain torch model: five classes, torch's own layers and dropout.

python examples/plain_torch.py
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from autoloss import AutoLoss, OwnLoop, Task

USERS, ITEMS, CLASSES = 60, 40, 5


class Ratings(nn.Module):
    """A user's and an item's embedding through a small tower: `int64[B, 2]` -> logits `[B, 5]`."""

    def __init__(self) -> None:
        super().__init__()
        self.user, self.item = nn.Embedding(USERS, 8), nn.Embedding(ITEMS, 8)
        self.tower = nn.Sequential(
            nn.Linear(16, 32),
            nn.BatchNorm1d(32),
            nn.ReLU(),
            nn.Dropout(0.2),
            nn.Linear(32, CLASSES),
        )

    def forward(self, ids: Tensor) -> Tensor:
        """Logits, not probabilities: the losses take their softmax."""
        pair = torch.cat((self.user(ids[:, 0]), self.item(ids[:, 1])), dim=1)
        logits: Tensor = self.tower(pair)
        return logits


def ratings(rows: int) -> TensorDataset:
    """Stars that follow a user's and an item's own level."""
    ids = torch.stack((torch.randint(USERS, (rows,)), torch.randint(ITEMS, (rows,))), dim=1)
    score = ids[:, 0] % 5 + ids[:, 1] % 5 + torch.randn(rows)
    return TensorDataset(ids, (score / 2).round().long().clamp(0, CLASSES - 1))


def main() -> tuple[list[float], OwnLoop]:
    """Train for three epochs; the mean loss of each, and the loop."""
    torch.manual_seed(0)
    train = DataLoader(ratings(4000), batch_size=100, shuffle=True)
    validation = DataLoader(ratings(500), batch_size=100, shuffle=True)
    model = Ratings()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    auto = OwnLoop(AutoLoss(Task(classes=CLASSES)), model, optimizer, validation)
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
