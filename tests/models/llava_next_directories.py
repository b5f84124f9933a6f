"""The files of LLaVA-NeXT and LLaVA-OneVision other than config.json, tokenizer and weights."""

# As those of LLaVA-NeXT with each of its decoders, and LLaVA-OneVision's.
IMAGES_FIRST = (
    "{# Render all images first #}{% for content in message['content'] | selectattr('type', 'equalto', 'image') %}"
    "{{ '<image>\n' }}{% endfor %}{# Render all text next #}"
)
TEXTS = "{% for content in message['content'] | selectattr('type', 'equalto', 'text') %}"
MISTRAL_CHAT_TEMPLATE = (
    "{% for message in messages %}{% if message['role'] == 'system' %}"
    "{{ '<<SYS>>\n' + message['content'][0]['text'] + '\n<</SYS>>\n\n' }}{% elif message['role'] == 'user' %}"
    f"{{{{ '[INST] ' }}}}{IMAGES_FIRST}{TEXTS}{{{{ content['text'] }}}}{{% endfor %}}{{{{' [/INST]' }}}}"
    "{% elif message['role'] == 'assistant' %}{{ ' ' + message['content'][0]['text'] + '<|im_end|> ' }}"
    "{% else %}{{ raise_exception('Only user and assistant roles are supported!') }}{% endif %}{% endfor %}"
)
VICUNA_CHAT_TEMPLATE = (
    "{% for message in messages %}{% if message['role'] != 'system' %}{{ message['role'].upper() + ': '}}{% endif %}"
    f"{IMAGES_FIRST}{{% if message['role'] != 'assistant' %}}{TEXTS}{{{{ content['text'] + ' '}}}}{{% endfor %}}"
    f"{{% else %}}{TEXTS}{{% generation %}}{{{{ content['text'] + ' '}}}}{{% endgeneration %}}{{% endfor %}}"
    "{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"
)
LLAMA_3_CHAT_TEMPLATE = (
    "{% for message in messages %}{% if loop.index0 == 0 %}{{ bos_token }}{% endif %}"
    "{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' }}"
    f"{IMAGES_FIRST}{TEXTS}{{{{ content['text'] }}}}{{% endfor %}}{{{{'<|eot_id|>'}}}}{{% endfor %}}"
    "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)
ONEVISION_CHAT_TEMPLATE = (
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + ' '}}"
    "{% for content in message['content'] | selectattr('type', 'equalto', 'image') %}{{ '<image>' }}{% endfor %}"
    f"{{% if message['role'] != 'assistant' %}}{TEXTS}{{{{ '\\n' + content['text'] }}}}{{% endfor %}}"
    f"{{% else %}}{TEXTS}{{% generation %}}{{{{ '\\n' + content['text'] }}}}{{% endgeneration %}}{{% endfor %}}"
    "{% endif %}{{'<|im_end|>'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def llava_next_files(config: dict) -> dict[str, dict]:
    """As on the hub."""
    side = config["vision_config"]["image_size"]
    return {
        "preprocessor_config.json": {
            "aspect_ratio_setting": "anyres",
            "crop_size": {"height": side, "width": side},
            "do_center_crop": True,
            "do_convert_rgb": True,
            "do_normalize": True,
            "do_pad": True,
            "do_rescale": True,
            "do_resize": True,
            "image_grid_pinpoints": config["image_grid_pinpoints"],
            "image_mean": [0.48145466, 0.4578275, 0.40821073],
            "image_processor_type": "LlavaNextImageProcessor",
            "image_std": [0.26862954, 0.26130258, 0.27577711],
            "processor_class": "LlavaNextProcessor",
            "resample": 3,
            "rescale_factor": 0.00392156862745098,
            "size": {"shortest_edge": side},
        },
        "processor_config.json": {
            "image_token": "<image>",
            "num_additional_image_tokens": 1,
            "patch_size": config["vision_config"]["patch_size"],
            "processor_class": "LlavaNextProcessor",
            "vision_feature_select_strategy": config["vision_feature_select_strategy"],
        },
    }


def llava_onevision_files(config: dict) -> dict[str, dict]:
    """As on the hub."""
    side = config["vision_config"]["image_size"]
    pixels = {
        "do_convert_rgb": True,
        "do_normalize": True,
        "do_rescale": True,
        "do_resize": True,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
        "processor_class": "LlavaOnevisionProcessor",
        "resample": 3,
        "rescale_factor": 0.00392156862745098,
        "size": {"height": side, "width": side},
    }
    return {
        "preprocessor_config.json": {
            **pixels,
            "do_pad": True,
            "image_grid_pinpoints": config["image_grid_pinpoints"],
            "image_processor_type": "LlavaOnevisionImageProcessor",
        },
        "video_preprocessor_config.json": {**pixels, "video_processor_type": "LlavaOnevisionVideoProcessor"},
        "processor_config.json": {
            "image_token": "<image>",
            "num_image_tokens": (side // config["vision_config"]["patch_size"]) ** 2,
            "processor_class": "LlavaOnevisionProcessor",
            "video_token": "<video>",
            "vision_aspect_ratio": config["vision_aspect_ratio"],
            "vision_feature_select_strategy": "full",
        },
    }
