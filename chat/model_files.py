"""Names of the files of a model's folder, and of what training keeps beside them."""

# What chatting reads, as patterns.
MODEL_FILES = ["*.json", "*.safetensors", "*.jinja", "merges.txt", "openvino/*"]
STATISTICS_FILE = "stats.json"
TRAIN_ARGUMENTS_FILE = "train_arguments.json"
TRAINER_STATE_FILE = "trainer_state.json"
PREFER_ARGUMENTS_FILE = "prefer_arguments.json"
PREFER_STATE_FILE = "prefer_state.json"
# What training keeps beside a model, and chatting does not read.
TRAINING_FILES = (TRAIN_ARGUMENTS_FILE, TRAINER_STATE_FILE, PREFER_ARGUMENTS_FILE, PREFER_STATE_FILE)
