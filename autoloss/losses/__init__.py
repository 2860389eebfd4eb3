"""The candidate losses (paper §3.4), one file each: its formula and its constants.

The paper names four and gives no formula; the forms here and their constants are choices, listed in
docs/deviations.md. All are computed from logits through log-probabilities, so they and their
gradients stay finite for any finite logit. With p the probability of the true class:

    ce     -log p
    focal  -(1 - p)^gamma log p                            (Lin et al. 2017, no alpha)
    kl     KL(q || y_hat), q = (1 - eps) one-hot + eps / C  (against hard labels it *is* ce)
    hinge  max(0, 1 - (p - max of the others)), on probabilities or on logits

A file has `info` (see `autoloss.folder`) and `loss`, which gives one value per example. Only the
files themselves import torch.
"""

from __future__ import annotations

from autoloss.folder import entries

LOSSES = {name: info.label for name, info in entries("losses").items()}
