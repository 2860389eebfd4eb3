"""Our Adam against torch.optim.Adam."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from autoloss.adam import Adam
from tests.interpreter import printed_by


@pytest.mark.parametrize("betas", [(0.9, 0.999), (0.5, 0.9)])
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_moves_as_torchs_adam_does_also_after_a_restart(betas, weight_decay):
    torch.manual_seed(0)
    shapes, options = [(3, 4), (5,), ()], {"betas": betas, "weight_decay": weight_decay}
    ours = [nn.Parameter(torch.randn(shape, dtype=torch.float64)) for shape in shapes]
    torchs = [nn.Parameter(p.detach().clone()) for p in ours]
    adam = Adam(ours, 0.01, **options)
    reference = torch.optim.Adam(torchs, lr=0.01, **options)
    for t in range(20):
        if t == 10:
            saved, adam = adam.state_dict(), Adam(ours, 0.01, **options)
            adam.load_state_dict(saved)
        for p, q in zip(ours, torchs, strict=True):
            p.grad = torch.randn_like(p) * 10.0 ** (t % 4)
            q.grad = p.grad.clone()
        adam.step()
        reference.step()
    for p, q in zip(ours, torchs, strict=True):
        torch.testing.assert_close(p, q, rtol=1e-12, atol=1e-14)


def test_a_parameter_without_a_gradient_stays():
    used, idle = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
    used.grad = torch.ones(2)
    Adam([used, idle], 0.1).step()
    assert torch.equal(idle, torch.ones(2))
    torch.testing.assert_close(used.detach(), torch.full((2,), 0.9))


def test_a_run_imports_neither_the_compiler_nor_scikit_learn(tiny):
    """Each would be a second of every job."""
    code = f"""
import sys
from pathlib import Path
from autoloss.data.prepared import PreparedData
from autoloss.registry import load
from autoloss.training.loop import Trainer
from tests.tiny import tiny_config
data = PreparedData.open(Path({str(tiny["binary"].folder)!r}))
Trainer(tiny_config(), data, "deepfm", load("autoloss"), 0).run()
print([name for name in ("torch._dynamo", "torch._inductor", "sklearn") if name in sys.modules])
"""
    assert printed_by(code) == "[]"
