"""Measure speed and cost of the product, each figure beside a raw limit of the same run."""
