"""What data preparation, training, evaluation and the app share: dialogues, the prompt format, the engine."""
