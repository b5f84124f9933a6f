"""The files of Idefics3 and SmolVLM other than config.json, tokenizer and weights."""

NAMES = {
    "end_of_utterance_token": "<end_of_utterance>",
    "fake_image_token": "<fake_token_around_image>",
    "global_image_token": "<global-img>",
    "image_token": "<image>",
}
# As SmolVLM's: a picture right after the role's colon.
SMOLVLM_CHAT_TEMPLATE = (
    "<|im_start|>{% for message in messages %}{{ message['role'] | capitalize }}"
    "{% if message['content'][0]['type'] == 'image' %}{{ ':' }}{% else %}{{ ': ' }}{% endif %}"
    "{% for line in message['content'] %}{% if line['type'] == 'text' %}{{ line['text'] }}"
    "{% elif line['type'] == 'image' %}{{ '<image>' }}{% endif %}{% endfor %}<end_of_utterance>\n{% endfor %}"
    "{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)


def smolvlm_files(config: dict) -> dict[str, dict]:
    """As on the hub, but for fewer tiles: three or two in place of four."""
    vision, own = config["vision_config"], config["model_type"] == "smolvlm"
    tile, name = vision["image_size"], "SmolVLM" if own else "Idefics3"
    preprocessor = {
        "do_convert_rgb": True,
        "do_image_splitting": True,
        "do_normalize": True,
        "do_pad": True,
        "do_rescale": True,
        "do_resize": True,
        "image_mean": [0.5, 0.5, 0.5],
        "image_processor_type": f"{name}ImageProcessor",
        "image_std": [0.5, 0.5, 0.5],
        "max_image_size": {"longest_edge": tile},
        "processor_class": f"{name}Processor",
        "resample": 1,
        "rescale_factor": 0.00392156862745098,
        "size": {"longest_edge": (2 if own else 3) * tile},
    }
    return {
        "preprocessor_config.json": preprocessor,
        "processor_config.json": {
            "image_seq_len": (tile // vision["patch_size"] // config["scale_factor"]) ** 2,
            "processor_class": f"{name}Processor",
        },
        "tokenizer_config.json": {
            "bos_token": "<|im_start|>",
            "eos_token": "<|im_end|>",
            **({"extra_special_tokens": NAMES, **NAMES} if own else {}),
        },
    } | ({"video_preprocessor_config.json": {"video_processor_type": "SmolVLMVideoProcessor"}} if own else {})
