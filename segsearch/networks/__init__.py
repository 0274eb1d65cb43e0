"""Networks: an `Architecture` becomes a `torch.nn.Module`."""

from segsearch.networks.build import Network, build, check_architecture

__all__ = ["Network", "build", "check_architecture"]
