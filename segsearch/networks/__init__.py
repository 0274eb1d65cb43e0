"""Networks: an `Architecture` becomes a `torch.nn.Module`."""

from segsearch.networks.answers import Masked, Output, answering, masking, repeated
from segsearch.networks.build import Network, build, wear_in
from segsearch.networks.check import check_architecture

__all__ = ["Masked", "Network", "Output", "answering", "build", "check_architecture", "masking", "repeated", "wear_in"]
