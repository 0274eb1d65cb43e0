"""Networks: an `Architecture` becomes a `torch.nn.Module`."""

from segsearch.networks.build import Network, build
from segsearch.networks.check import check_architecture

__all__ = ["Network", "build", "check_architecture"]
