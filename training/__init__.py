"""Fine-tuning, or training from scratch, on a tokenised dialogue dataset: `accelerate launch -m training.train`."""
