"""Networks: an `Architecture` becomes a `torch.nn.Module`."""

from segsearch.networks.answers import answering, masking
from segsearch.networks.build import Assembled, build, wear_in
from segsearch.networks.check import check_architecture
from segsearch.networks.fold import folded
from segsearch.networks.network import Network

__all__ = ["Assembled", "Network", "answering", "build", "check_architecture", "folded", "masking", "wear_in"]
