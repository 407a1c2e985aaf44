"""What the product costs and how fast it is, each figure beside a raw limit of the same run."""
