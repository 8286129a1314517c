"""What the processes that serve one application say to each other, and the engines that carry it."""
