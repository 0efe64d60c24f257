"""Optimizers: they change parameters by their gradients. `lr_scheduler` changes the optimizers' learning rates.

>>> optimizer = SGD(model.parameters(), lr=0.1, momentum=0.9)
>>> loss.backward()
>>> optimizer.step()
>>> optimizer.zero_grad()
"""

from rushlight.optim import lr_scheduler as lr_scheduler
from rushlight.optim.adadelta import Adadelta
from rushlight.optim.adagrad import Adagrad
from rushlight.optim.adam import Adam
from rushlight.optim.adamax import Adamax
from rushlight.optim.adamw import AdamW
from rushlight.optim.asgd import ASGD
from rushlight.optim.lbfgs import LBFGS
from rushlight.optim.nadam import NAdam
from rushlight.optim.optimizer import (
    Optimizer,
    ParamsT,
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)
from rushlight.optim.radam import RAdam
from rushlight.optim.rmsprop import RMSprop
from rushlight.optim.rprop import Rprop
from rushlight.optim.sgd import SGD

__all__ = [
    "ASGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "LBFGS",
    "NAdam",
    "Optimizer",
    "RAdam",
    "RMSprop",
    "Rprop",
    "SGD",
    "lr_scheduler",
]
