"""Operations on tensors with derivatives of their own: what models and losses are fast by.

Each has a reference in torch's operations, its definition: what other devices and precisions run,
and its second derivative unless there is a faster one. They take tensors and constants only.
"""
