"""The federation behind OpenAI's API: models, chat completions and responses, for clients that people already have."""
