"""Training on a tokenised dialogue dataset: `accelerate launch -m training.train`."""
