"""Networks: an `Architecture` becomes a `torch.nn.Module`."""

from segsearch.networks.answers import answering, masking
from segsearch.networks.build import Network, build, wear_in
from segsearch.networks.check import check_architecture
from segsearch.networks.fold import folded

__all__ = ["Network", "answering", "build", "check_architecture", "folded", "masking", "wear_in"]
