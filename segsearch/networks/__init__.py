"""Networks: an `Architecture` becomes a `torch.nn.Module`."""

from segsearch.networks.build import Network, build, wear_in
from segsearch.networks.check import check_architecture

__all__ = ["Network", "build", "check_architecture", "wear_in"]
