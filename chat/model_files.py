"""The files of a model's folder and of its training, and which of their values a resumed run may change."""

# What chatting reads, as patterns.
MODEL_FILES = ["*.json", "*.safetensors", "*.jinja", "merges.txt", "openvino/*"]
STATISTICS_FILE = "stats.json"
TRAIN_ARGUMENTS_FILE = "train_arguments.json"
TRAINER_STATE_FILE = "trainer_state.json"
PREFER_ARGUMENTS_FILE = "prefer_arguments.json"
PREFER_STATE_FILE = "prefer_state.json"
# What training keeps beside a model, and chatting does not read.
TRAINING_FILES = (TRAIN_ARGUMENTS_FILE, TRAINER_STATE_FILE, PREFER_ARGUMENTS_FILE, PREFER_STATE_FILE)
# Arguments kept there that may differ in a resumed run without making it another one.
FREE_TO_CHANGE = {
    "resume",
    "output_dir",
    "final_model_dir",
    "final_model_dtype",
    "final_model_shard_mb",
    "temperature",
    "top_p",
    "best_of",
    "data",
    "per_device_eval_batch_size",
    "save_every_steps",
    "save_total_limit",
    "tensorboard",
    "trackio",
    "sample_prompts",
    "dataloader_num_workers",
    "push_to_hub",
    "hub_public",
    "hub_strategy",
    "hub_every_minutes",
    "hub_tag",
}
